"""What each command of `edgeai` does: arguments in, one function called, its result as a dict.

Every command imports what it needs when it runs: `environment build` works straight
out of the wheel with the standard library alone, and `serve` loads nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import sys
from pathlib import Path
from typing import Any, Callable, Dict

from edgeai_runtime.actor import actor
from edgeai_runtime.durable import append_journal
from edgeai_runtime.errors import DamagedError, EdgeAIError, InputError, KeeperError, StorageError
from edgeai_runtime.paths import Paths

Progress = Callable[[str], None]
Result = Dict[str, Any]
Command = Callable[[argparse.Namespace, Paths, Progress], Result]


def release_check(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
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


def bundle_build(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.bundle import build
    from edgeai_runtime.bundle.keys import Passphrase

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
            controllers=args.controller,
            passphrase=Passphrase(args.passphrase_file),
            check=args.check,
            progress=progress,
        )
    )


def key_new(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.bundle.keys import Passphrase, new_key

    return _as_dict(new_key(args.keys, args.name, Passphrase(args.passphrase_file), args.check))


def trust_root_set(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.bundle.keys import Passphrase
    from edgeai_runtime.bundle.trust_root import set_root

    roles = {role: (threshold, names) for role, threshold, names in args.role}
    passphrase = Passphrase(args.passphrase_file)
    return _as_dict(set_root(args.keys, roles, args.expires_days, passphrase, args.check))


def trust_root_sign(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.bundle.keys import Passphrase
    from edgeai_runtime.bundle.trust_root import sign_root

    return _as_dict(sign_root(args.keys, args.file, Passphrase(args.passphrase_file), args.check))


def trust_root_show(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.bundle.trust_root import show_root

    return _as_dict(show_root(args.keys, args.file))


def release_revoke(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.bundle.revocation import revoke

    return _as_dict(revoke(args.keys, args.name, args.version, args.reason, args.check))


def bundle_show(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.trust import show_bundle

    if args.ca is not None:
        trust_depot(args.ca)
    return _as_dict(show_bundle(depot_url=args.depot, root_json=args.root_json))


def bundle_certificate(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.bundle.certificate import make_certificate

    return _as_dict(make_certificate(args.keys, args.name, days=args.days, check=args.check))


def controller_install(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.controller import install

    return _as_dict(
        install(
            bundle=args.bundle,
            into=args.into,
            lock_digests=args.lock_sha256,
            debian_digests=args.debian_sha256,
            root_sha256=args.root_sha256,
            check=args.check,
            progress=progress,
        )
    )


def depot(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.depot import serve

    serve(args.directory, args.http)
    return {}


def environment_build(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.environments import build_from_depot
    from edgeai_runtime.trust.depots import Depots

    return _as_dict(
        build_from_depot(
            paths,
            lock_sha256=args.lock_sha256,
            depots=Depots(args.depot, args.rate_limit * 1e6),
            python=args.python,
            check=args.check,
            progress=progress,
        )
    )


def environment_use(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.environments import use_environment

    return _as_dict(use_environment(paths, args.lock_sha256, args.check))


def debian_install(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.debian import install
    from edgeai_runtime.trust.depots import Depots

    depots = Depots(args.depot, args.rate_limit * 1e6)
    return _as_dict(install(paths.var, args.lock_sha256, depots, args.package, args.check, progress))


def fetch(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.settings import load_device
    from edgeai_runtime.trust import fetch_release

    return _as_dict(fetch_release(paths, load_device(paths), args.name, args.version, args.check, progress))


def convert(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.convert import convert_release
    from edgeai_runtime.settings import load_device
    from edgeai_runtime.trust import load_release

    device = load_device(paths)
    release = load_release(paths, args.name, args.version)
    return _as_dict(convert_release(paths, device, release, args.check, progress))


def trial(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
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
            check=args.check,
            progress=progress,
        )
    )


def soak(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.generations import soak

    return _as_dict(soak(paths, args.seconds, progress))


def confirm(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.generations import confirm
    from edgeai_runtime.settings import load_device

    kept = load_device(paths).generations_kept
    return _as_dict(confirm(paths, check=args.check, kept=kept))


def rollback(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.generations import rollback
    from edgeai_runtime.settings import load_device

    return _as_dict(
        rollback(
            paths,
            load_device(paths),
            model=args.release,
            to_version=args.to,
            check=args.check,
            progress=progress,
        )
    )


def update_check(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.settings import load_device
    from edgeai_runtime.updates import check_updates

    return _as_dict(check_updates(paths, load_device(paths)))


def update_fetch(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.settings import load_device
    from edgeai_runtime.updates import fetch_updates

    return _as_dict(fetch_updates(paths, load_device(paths), args.check, progress))


def update_apply(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.settings import load_device
    from edgeai_runtime.updates import apply_updates

    return _as_dict(
        apply_updates(
            paths,
            load_device(paths),
            soak_s=args.seconds,
            deadline_s=args.deadline,
            check=args.check,
            progress=progress,
        )
    )


def status(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.generations import current_manifest
    from edgeai_runtime.generations.keeper_client import KeeperClient
    from edgeai_runtime.monitor import health
    from edgeai_runtime.monitor.alarm_book import AlarmBook, sentences
    from edgeai_runtime.monitor.asking import ask
    from edgeai_runtime.monitor.readings import Machine
    from edgeai_runtime.settings import load_device
    from edgeai_runtime.system_versions import system_versions
    from edgeai_runtime.trust.alarms import alarms

    status = KeeperClient(paths).status()
    damage = []
    try:
        manifest = current_manifest(paths)
    except InputError as error:  # what is known is told all the same
        manifest, damage = None, [error.message]
    models = (manifest or {}).get("models", {})
    said = damage + alarms(paths, {name: model["version"] for name, model in models.items()})
    said += sentences(AlarmBook(paths.alarms).standing)
    service = ask(paths.http)
    readings = None if service else Machine(paths.opt).take()
    told = health.report(
        load_device(paths), status, manifest, system_versions(), said, service=service, readings=readings
    )
    return {"changed": False, **told}


def report_make(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.report import make_report
    from edgeai_runtime.settings import load_device

    device = load_device(paths)
    try:
        told = {key: value for key, value in status(args, paths, progress).items() if key != "changed"}
    except KeeperError as error:  # then a report is wanted most
        told = {"name": device.name, "phase": None, "reason": error.message}
    return _as_dict(make_report(paths, told, args.output.absolute(), args.days))


def report_key(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.report import public_key
    from edgeai_runtime.settings import load_device

    key = public_key(paths, load_device(paths).name)
    return {"changed": False, "public_key": key, "file": str(paths.var / "report_key.pub")}


def report_check(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.report import check_report

    return _as_dict(check_report(args.report, args.public_key))


def alarms_show(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.monitor.alarm_book import AlarmBook

    book = AlarmBook(paths.alarms)
    standing = [{"alarm": name, **entry} for name, entry in sorted(book.standing.items())]
    columns = ("time", "alarm", "event", "by", "sentence")
    history = [{name: event.get(name) for name in columns} for event in book.history[-args.last :]]
    return {"changed": False, "standing": standing, "history": history}


def alarms_acknowledge(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.monitor.alarm_book import AlarmBook

    book = AlarmBook(paths.alarms)
    changed = book.acknowledge(args.name, actor())
    return {"changed": changed, "actions": [f"{args.name} is acknowledged"]}


def verify(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.verify import verify

    return _as_dict(verify(paths, progress))


def trust_init(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.trust import repository

    return repository.init(_given(args, "metadata_dir"), args.root_json)


def trust_refresh(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.trust import repository

    return repository.refresh(_given(args, "metadata_dir"), _given(args, "metadata_url"))


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


def infer(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.client import infer

    url = args.url
    if url is None:
        from edgeai_runtime.settings import load_device

        _tokens, certificate, _key = paths.service_files
        url = f"{'https' if certificate.exists() else 'http'}://{load_device(paths).http}"
    return _as_dict(infer(url, args.model, args.image))


def bench(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.bench import bench, connecting

    at = connecting(args.url, args.uds or (None if args.url else paths.http))
    name, rows = bench(at, args.model, args.concurrency, args.seconds, args.image, progress)
    return {"changed": False, "model": name, "measured": [dataclasses.asdict(row) for row in rows]}


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


def config(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.settings import read_device, read_settings, tables_of

    file = args.config or paths.device_toml
    settings = read_settings(args.config) if args.config else read_device(paths)
    return {"changed": False, **tables_of(settings, str(file))}


def completion(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.completion import script
    from edgeai_runtime.parser import build_parser

    return {"actions": [script(build_parser(), args.shell)]}


def trust_depot(ca: Path) -> None:
    """Let every TLS connection of this process trust `ca` and nobody else.

    OpenSSL reads the two variables for every `ssl.create_default_context()`. Raises InputError.
    """
    if not ca.is_file():
        raise InputError(f"{ca}: there is no such file; name the CA that vouches for the depot.")
    os.environ.update(SSL_CERT_FILE=str(ca.absolute()), SSL_CERT_DIR="")


# What is done on a device, for whom the depot's CA is the device's; the others belong to whoever types them.
ON_DEVICE = (
    environment_build,
    environment_use,
    fetch,
    convert,
    trial,
    soak,
    confirm,
    rollback,
    update_check,
    update_fetch,
    update_apply,
    status,
    verify,
    report_make,
    report_key,
    alarms_show,
    alarms_acknowledge,
    debian_install,
)
# What changes the device, and is a step in its journal also where it failed.
STEPS = (
    environment_build,
    environment_use,
    fetch,
    convert,
    trial,
    confirm,
    rollback,
    update_fetch,
    update_apply,
)
# What root does as root: apt takes it, and the device's commands are what the owner must not change.
AS_ROOT = (debian_install, environment_use)


def note_failure(args: argparse.Namespace, paths: Paths, error: EdgeAIError) -> None:
    """Have the journal know of a step that failed; a device that is not provisioned has none."""
    if args.run not in STEPS or args.check or not paths.var.is_dir():
        return
    command = args.run.__name__.replace("_", " ")
    with contextlib.suppress(StorageError):  # the error that is told may be this very one
        append_journal(paths, "step_failed", command=command, kind=error.kind, reason=error.message)


def _as_dict(result: Any) -> Result:
    """A result dataclass (or dict) as what JSON can say."""
    return dataclasses.asdict(result) if dataclasses.is_dataclass(result) else dict(result)  # type: ignore[arg-type]
