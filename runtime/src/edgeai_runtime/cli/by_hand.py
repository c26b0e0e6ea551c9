"""What is typed by hand on any machine: models served and asked, and the command's own settings."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any, List, Optional, Tuple

from edgeai_runtime.cli.arguments import SERVER, descriptor, some_seconds, whole
from edgeai_runtime.cli.command import Argument, Progress, Result, argument, as_dict, command, titled
from edgeai_runtime.cli.completion import SHELLS
from edgeai_runtime.errors import DamagedError, InputError
from edgeai_runtime.paths import Paths

_MODEL = argument("--model", help="its name (default: the only one served)")
_clients = whole(1, 10_000)


def _several(text: str) -> List[int]:
    return [_clients(part.strip()) for part in text.split(",")]


def of_repository(default: Optional[str]) -> Tuple[Argument, ...]:
    """Where a TUF repository is; given before the command or after it, as whoever calls likes."""
    return tuple(
        argument(option, type=kind, metavar=metavar, default=default)
        for option, kind, metavar in (
            ("--metadata-dir", Path, "DIR"),
            ("--metadata-url", str, "URL"),
            ("--target-name", str, "NAME"),
            ("--target-base-url", str, "URL"),
            ("--target-dir", Path, "DIR"),
        )
    )


@command(
    "config",
    "Show the settings in force, and where each comes from",
    argument("--config", type=Path, metavar="FILE", help="default: this device's"),
)
def config(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.settings import read_device, read_settings, tables_of

    file = args.config or paths.device_toml
    by_hand = args.config is not None or not paths.device_toml.exists()
    settings = read_settings(args.config) if by_hand else read_device(paths)
    told: Result = {"changed": False, **tables_of(settings, str(file))}
    if args.config is None and by_hand:
        told["actions"] = [
            f"There is no {file}: this machine is not provisioned, and this is what `edgeai serve` goes by."
        ]
    return told


@command(
    "infer",
    "Send an image or a request to a model and show the answer",
    argument("file", type=Path, metavar="FILE", help="PNG, JPEG, or a V2 request in JSON"),
    SERVER,
    _MODEL,
)
def infer(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.client import Client

    with Client(args.url, args.uds or paths.http) as client:
        return as_dict(client.infer(args.model, args.file))


@command(
    "bench",
    "Measure a model where it is served, as a client sees it",
    SERVER,
    _MODEL,
    argument(
        "--concurrency", type=_several, default=[1, 8], metavar="N,N,…", help="clients at once (default: 1,8)"
    ),
    argument("--seconds", type=some_seconds, default=5.0, metavar="S", help="for each (default: 5)"),
    argument("--image", type=Path, metavar="FILE", help="what is asked (default: random numbers)"),
)
def bench(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.bench import bench
    from edgeai_runtime.client import Client

    with Client(args.url, args.uds or paths.http) as client:
        found = bench(client, args.model, args.concurrency, args.seconds, args.image, progress)
    rows = [dataclasses.asdict(row) for row in found.rows]
    return {"changed": False, "model": found.model, "measured": rows, "actions": found.said}


@command(
    "serve",
    "Serve ONNX files by hand; or a generation, as the keeper does",
    argument("model", nargs="*", type=Path, metavar="MODEL.onnx", help="served by its name without .onnx"),
    argument("--http", metavar="HOST:PORT", help="where (default: 127.0.0.1:8080)"),
    argument("--uds", type=Path, metavar="PATH", help="at this Unix socket as well"),
    argument("--config", type=Path, metavar="FILE", help="settings, as `edgeai config` shows them"),
    titled(
        "what the keeper says",
        argument("--generation", type=Path, metavar="DIR"),
        argument("--listen-fd", type=descriptor, action="append", default=[], metavar="FD"),
        argument("--control-fd", type=descriptor, metavar="FD"),
        argument("--probe-fd", type=descriptor, metavar="FD"),
    ),
)
def serve(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    try:
        from edgeai_runtime.server.run import run_files, run_generation
    except Exception as error:  # noqa: BLE001 - a damaged file of the environment can raise anything
        damage = DamagedError(
            f"{sys.prefix}: this environment is damaged ({type(error).__name__}: {error}); "
            "provision the device again, which mends it."
        )
        if args.control_fd is not None:
            from edgeai_runtime.server.control import say_failed

            say_failed(args.control_fd, damage.message, damaged=True)
        raise damage from None

    if args.generation is None:
        if not args.model:
            raise InputError("Nothing to serve was named; name ONNX files, as in `edgeai serve model.onnx`.")
        from edgeai_runtime.settings import read_settings

        run_files(args.model, read_settings(args.config, given={"serve.http": args.http}), args.uds)
        return {}
    if args.model or args.uds or args.config:
        raise InputError(
            "--generation serves what is in it, on the sockets given and as the device's settings say; "
            "leave files, --uds and --config away."
        )
    run_generation(
        paths,
        args.generation,
        http=args.http,
        listen_fds=args.listen_fd,
        control_fd=args.control_fd,
        probe_fd=args.probe_fd,
    )
    return {}


@command(
    "completion",
    "Print what a shell needs to complete commands",
    argument("shell", choices=SHELLS),
)
def completion(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.cli.completion import script
    from edgeai_runtime.cli.parser import build_parser

    return {"actions": [script(build_parser(), args.shell)]}


@command(
    "trust init",
    "Trust a first root.json",
    argument("root_json", type=Path, metavar="ROOT.json"),
)
def trust_init(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.trust import repository

    return repository.init(_given(args, "metadata_dir"), args.root_json)


@command("trust refresh", "Bring the trusted metadata up to date", *of_repository(default=argparse.SUPPRESS))
def trust_refresh(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.trust import repository

    return repository.refresh(_given(args, "metadata_dir"), _given(args, "metadata_url"))


@command("trust download", "Refresh, then bring a target", *of_repository(default=argparse.SUPPRESS))
def trust_download(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.trust import repository

    return repository.download(
        _given(args, "metadata_dir"),
        _given(args, "metadata_url"),
        _given(args, "target_name"),
        _given(args, "target_base_url"),
        _given(args, "target_dir"),
    )


def _given(args: argparse.Namespace, name: str) -> Any:
    """An argument that this command needs and another of its family does not; raises InputError."""
    value = getattr(args, name)
    if value is None:
        raise InputError(f"--{name.replace('_', '-')} is missing; this command needs it.")
    return value
