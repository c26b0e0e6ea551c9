"""The `edgeai` command: arguments in, one function called, its result shown.

Every command imports what it needs when it runs: `environment build` works straight
out of the wheel with the standard library alone, and `serve` loads nothing else.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from edgeai_runtime import __version__
from edgeai_runtime.errors import EdgeAIError, InputError
from edgeai_runtime.ownership import become_owner
from edgeai_runtime.paths import Paths

Progress = Callable[[str], None]
Result = Dict[str, Any]
Command = Callable[[argparse.Namespace, Paths, Progress], Result]


def _release_check(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.release import read_source
    from edgeai_runtime.serving import pipeline

    release, _files = read_source(args.directory)
    pipeline.check(release.pipeline, f"{args.directory}/release.toml")
    sets = release.sets
    return {
        "name": release.name,
        "version": release.version,
        "digest": release.digest,
        "samples": {
            "calibration": len(sets.calibration),
            "selection": len(sets.selection),
            "golden": len(sets.golden),
        },
        "actions": [
            f"{release.name} {release.version} is a complete release with {len(sets.golden)} golden samples"
        ],
    }


def _bundle_build(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.bundle import build

    return _as_dict(
        build(
            output=args.output,
            keys_dir=args.keys,
            cache_dir=args.cache,
            runtime_dir=args.runtime,
            targets=args.target,
            release_dirs=args.release,
            expires_days=args.expires_days,
            debian=args.debian,
            **({"debian_packages": args.debian_package} if args.debian_package else {}),
            debian_sources=args.debian_sources,
            debian_refresh=args.debian_refresh,
            own_wheels=dict(args.wheels),
            check=args.check,
            progress=progress,
        )
    )


def _bundle_show(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.trust import show_bundle

    if args.ca is not None:
        _trust_depot(args.ca)
    return _as_dict(show_bundle(depot_url=args.depot, root_json=args.root_json))


def _bundle_certificate(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.bundle.certificate import make_certificate

    return _as_dict(make_certificate(args.keys, args.name, days=args.days, check=args.check))


def _depot(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.depot import serve

    serve(args.directory, args.http)
    return {}


def _environment_build(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.environments import build_from_depot

    return _as_dict(
        build_from_depot(
            paths,
            lock_sha256=args.lock_sha256,
            depot_url=args.depot,
            python=args.python,
            check=args.check,
            progress=progress,
        )
    )


def _environment_use(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.environments import use_environment

    return _as_dict(use_environment(paths, args.lock_sha256, args.check))


def _debian_install(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.debian import install

    return _as_dict(install(paths, args.lock_sha256, args.depot, args.package, args.check, progress))


def _fetch(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.settings import load_device
    from edgeai_runtime.trust import fetch_release

    return _as_dict(fetch_release(paths, load_device(paths), args.name, args.version, args.check, progress))


def _convert(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.convert import convert_release
    from edgeai_runtime.settings import load_device
    from edgeai_runtime.trust import load_release

    device = load_device(paths)
    release = load_release(paths, args.name, args.version)
    return _as_dict(convert_release(paths, device, release, args.check, progress))


def _trial(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.generations import trial
    from edgeai_runtime.settings import load_device
    from edgeai_runtime.trust import load_release

    return _as_dict(
        trial(
            paths,
            load_device(paths),
            release=load_release(paths, *args.release) if args.release else None,
            environment=args.environment,
            deadline_s=args.deadline,
            actor=args.actor,
            check=args.check,
            progress=progress,
        )
    )


def _soak(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.generations import soak

    return _as_dict(soak(paths, args.seconds, progress))


def _confirm(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.generations import confirm

    return _as_dict(confirm(paths, actor=args.actor, check=args.check))


def _rollback(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.generations import rollback
    from edgeai_runtime.settings import load_device

    return _as_dict(
        rollback(
            paths,
            load_device(paths),
            model=args.release,
            to_version=args.to,
            actor=args.actor,
            check=args.check,
            progress=progress,
        )
    )


def _status(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.generations import current_manifest
    from edgeai_runtime.generations.keeper_client import KeeperClient
    from edgeai_runtime.monitor import health
    from edgeai_runtime.settings import load_device
    from edgeai_runtime.system_versions import system_versions

    status = KeeperClient(paths).status()
    told = health.report(load_device(paths), status, current_manifest(paths), system_versions())
    return {"changed": False, **told}


def _infer(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.client import infer

    url = args.url
    if url is None:
        from edgeai_runtime.settings import load_device

        url = f"http://{load_device(paths).http}"
    return _as_dict(infer(url, args.model, args.image))


def _serve(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.server.run import run

    run(
        paths,
        args.generation,
        http=args.http,
        listen_fds=args.listen_fd,
        control_fd=args.control_fd,
    )
    return {}


def _trust_depot(ca: Path) -> None:
    """Let every TLS connection of this process trust `ca` and nobody else.

    OpenSSL reads the two variables for every `ssl.create_default_context()`. Raises InputError.
    """
    if not ca.is_file():
        raise InputError(f"{ca}: there is no such file; name the CA that vouches for the depot.")
    os.environ.update(SSL_CERT_FILE=str(ca.absolute()), SSL_CERT_DIR="")


# What is done on a device, for whom the depot's CA is the device's; the others belong to whoever types them.
_ON_DEVICE = (
    _environment_build,
    _environment_use,
    _fetch,
    _convert,
    _trial,
    _soak,
    _confirm,
    _rollback,
    _status,
    _debian_install,
)
# What root does as root: apt takes it, and the device's commands are what the owner must not change.
_AS_ROOT = (_debian_install, _environment_use)


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="say what would be done, change nothing")


def _add_actor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--actor", default=f"uid {os.getuid()}", help="who asks, for the journal")


def _target_and_directory(text: str) -> Tuple[str, Path]:
    target, equals, directory = text.partition("=")
    if not (target and equals and directory):
        raise argparse.ArgumentTypeError(f"'{text}' is not TARGET=DIR")
    return target, Path(directory)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edgeai", description="Fetch, convert, prove, serve and take back models on this device."
    )
    parser.add_argument("--version", action="version", version=f"edgeai {__version__}")
    parser.add_argument(
        "--root", type=Path, default=Path("/"), help="the device's root directory (default: /)"
    )
    parser.add_argument("--json", action="store_true", help="answer with one JSON object, progress on stderr")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(to: Any, name: str, run: Optional[Command], help_: str) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = to.add_parser(name, help=help_, description=help_)
        command.set_defaults(run=run)
        return command

    add(commands, "status", _status, "Show what this device serves and how it does")

    infer = add(commands, "infer", _infer, "Send one image to a model and show the answer")
    infer.add_argument("image", type=Path)
    infer.add_argument("--url", help="where it is served (default: this device)")
    infer.add_argument("--model", help="its name (default: the only one served)")

    fetch = add(commands, "fetch", _fetch, "Fetch a signed release from the depot and verify it")
    convert = add(commands, "convert", _convert, "Convert a fetched release for this device and measure it")
    for command in (fetch, convert):
        command.add_argument("name")
        command.add_argument("version")
        _add_check(command)

    trial = add(commands, "trial", _trial, "Gate a release or an environment, then switch to it on trial")
    what = trial.add_mutually_exclusive_group(required=True)
    what.add_argument("--release", nargs=2, metavar=("NAME", "VERSION"))
    what.add_argument("--environment", metavar="DIGEST")
    trial.add_argument(
        "--deadline", type=float, default=600.0, metavar="S", help="taken back unless confirmed by then"
    )
    _add_actor(trial)
    _add_check(trial)

    soak = add(commands, "soak", _soak, "Watch the trial; fails as soon as the device takes it back")
    soak.add_argument("--seconds", type=float, default=300.0)

    confirm = add(commands, "confirm", _confirm, "Keep the generation on trial")
    _add_actor(confirm)
    _add_check(confirm)

    rollback = add(commands, "rollback", _rollback, "Take one model back to a version confirmed here before")
    rollback.add_argument("--release", required=True, metavar="NAME")
    rollback.add_argument("--to", metavar="VERSION", help="default: the newest confirmed before")
    _add_actor(rollback)
    _add_check(rollback)

    serve = add(commands, "serve", _serve, "Serve one generation (the keeper runs this)")
    serve.add_argument("--generation", type=Path, required=True, metavar="DIR")
    serve.add_argument("--http", metavar="HOST:PORT")
    serve.add_argument("--listen-fd", type=int, action="append", default=[], metavar="FD")
    serve.add_argument("--control-fd", type=int, metavar="FD")

    environment = commands.add_parser("environment", help="Environments of locked wheels").add_subparsers(
        metavar="COMMAND", required=True
    )
    build = add(environment, "build", _environment_build, "Build the environment that a lock names")
    build.add_argument("--lock-sha256", required=True, metavar="DIGEST")
    build.add_argument("--depot", required=True, metavar="URL")
    build.add_argument("--python", default="/usr/bin/python3", help="default: /usr/bin/python3")
    _add_check(build)

    use = add(environment, "use", _environment_use, "Let this device's commands come from an environment")
    use.add_argument("--lock-sha256", required=True, metavar="DIGEST")
    _add_check(use)

    debian = commands.add_parser("debian", help="Debian packages of a bundle").add_subparsers(
        metavar="COMMAND", required=True
    )
    bring = add(debian, "install", _debian_install, "Install packages without a mirror; nothing is started")
    bring.add_argument("package", nargs="+")
    bring.add_argument("--lock-sha256", required=True, metavar="DIGEST")
    bring.add_argument("--depot", required=True, metavar="URL")
    _add_check(bring)

    depot = add(commands, "depot", _depot, "Serve a bundle's files to the factory")
    depot.add_argument("--directory", type=Path, required=True)
    depot.add_argument("--http", required=True, metavar="HOST:PORT")

    release = commands.add_parser("release", help="For a model's author").add_subparsers(
        metavar="COMMAND", required=True
    )
    check = add(release, "check", _release_check, "Check an author's release directory")
    check.add_argument("directory", type=Path)

    bundle = commands.add_parser("bundle", help="For the connected workstation").add_subparsers(
        metavar="COMMAND", required=True
    )
    make = add(bundle, "build", _bundle_build, "Collect wheels and releases and sign them")
    make.add_argument("--output", type=Path, required=True, metavar="DIR")
    make.add_argument("--keys", type=Path, required=True, metavar="DIR")
    make.add_argument("--cache", type=Path, required=True, metavar="DIR")
    make.add_argument("--runtime", type=Path, required=True, metavar="DIR", help="the collection's runtime/")
    make.add_argument("--target", action="append", required=True, help="may be given several times")
    make.add_argument(
        "--wheels",
        type=_target_and_directory,
        action="append",
        default=[],
        metavar="TARGET=DIR",
        help="wheels of your own for a target, more or instead of the locked ones",
    )
    make.add_argument("--release", type=Path, action="append", default=[], metavar="DIR")
    make.add_argument("--expires-days", type=int, default=365)
    make.add_argument(
        "--debian", action="append", default=[], metavar="SUITE", help="e.g. bookworm-arm64, may be repeated"
    )
    make.add_argument(
        "--debian-package",
        action="append",
        metavar="NAME",
        help="may be repeated (default: chrony, logrotate, nginx)",
    )
    make.add_argument("--debian-sources", type=Path, metavar="FILE", help="a sources.list (default: our own)")
    make.add_argument("--debian-refresh", action="store_true", help="take what is newest, not what is cached")
    _add_check(make)
    show = add(bundle, "show", _bundle_show, "Verify a bundle and show what it holds")
    show.add_argument("--depot", required=True, metavar="URL")
    show.add_argument("--root-json", type=Path, required=True)
    show.add_argument("--ca", type=Path, metavar="FILE", help="who vouches for the depot's certificate")
    certificate = add(bundle, "certificate", _bundle_certificate, "Make the depot's certificate")
    certificate.add_argument(
        "--name",
        action="append",
        required=True,
        help="its name or address; may be given several times",
    )
    certificate.add_argument("--keys", type=Path, required=True, metavar="DIR", help="where the keys lie")
    certificate.add_argument("--days", type=int, default=825, help="for how long it is good (default: 825)")
    _add_check(certificate)
    return parser


def _as_dict(result: Any) -> Result:
    """A result dataclass (or dict) as what JSON can say."""
    return dataclasses.asdict(result) if dataclasses.is_dataclass(result) else dict(result)  # type: ignore[arg-type]


def _show(result: Result) -> None:
    """Show a result to a person: the sentences first, then the figures, tables last."""
    for action in result.get("actions", []):
        print(action)
    for key, value in result.items():
        if key in ("ok", "changed", "actions") or value in (None, [], (), {}):
            continue
        rows = value.get("gates") if isinstance(value, dict) else value
        if isinstance(rows, (list, tuple)) and rows and isinstance(rows[0], dict):
            _show_table(rows)
        elif isinstance(value, dict):
            print(f"{key}: {', '.join(f'{name} {_cell(found)}' for name, found in value.items())}")
        else:
            print(f"{key}: {_cell(value)}")


def _show_table(rows: Sequence[Result]) -> None:
    columns = list(rows[0])
    cells = [columns, *([_cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    for line in cells:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def _cell(value: Any) -> str:
    """One value as a person writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_cell, value))
    return "-" if value is None else str(value)


def main(arguments: Optional[List[str]] = None) -> int:
    """Run one command; returns the exit status (0, 1 for an error in one sentence, 2 for wrong usage)."""
    # onnxruntime's telemetry reads this before its import; whoever starts `edgeai` need not know.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    args = _parser().parse_args(arguments)

    def progress(sentence: str) -> None:
        print(json.dumps({"progress": sentence}) if args.json else sentence, file=sys.stderr, flush=True)

    try:
        paths = Paths(args.root.absolute())
        if args.run in _ON_DEVICE:
            if args.run not in _AS_ROOT:
                become_owner(paths)
            if paths.depot_ca.is_file():
                _trust_depot(paths.depot_ca)
        result = {"ok": True, **args.run(args, paths, progress)}
    except EdgeAIError as error:
        if args.json:
            told = {"kind": error.kind, "message": error.message, "details": error.details}
            print(json.dumps({"ok": False, "error": told}, default=str))
        else:
            print(f"edgeai: error: {error.message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if args.json:
        print(json.dumps(result, default=str))
    else:
        _show(result)
    return 0
