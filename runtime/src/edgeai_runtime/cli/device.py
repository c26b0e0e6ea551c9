"""What is typed on a device: by whoever stands before it, by a playbook, or by provisioning."""

from __future__ import annotations

import argparse
from pathlib import Path

from edgeai_runtime.actor import actor
from edgeai_runtime.cli.arguments import (
    CHECK,
    DEPOTS,
    SERVER,
    asks_a_server,
    descriptor,
    number,
    seconds,
    some_seconds,
    whole,
)
from edgeai_runtime.cli.command import Progress, Result, argument, as_dict, command, on_device, one_of, step
from edgeai_runtime.errors import InputError, KeeperError
from edgeai_runtime.paths import Paths

_NAMED = (argument("name"), argument("version"))
_LOCK = argument("--lock-sha256", required=True, metavar="DIGEST")
_DEADLINE = argument(
    "--deadline", type=some_seconds, default=600.0, metavar="S", help="taken back unless confirmed by then"
)
_OF_A_JOB = argument("words", nargs=argparse.REMAINDER, metavar="COMMAND …")


@on_device("status", "Show what this device, or a server, serves and how it does", SERVER)
def status(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    if not asks_a_server(args):
        return {"changed": False, **_status_of_device(paths)}
    from edgeai_runtime.client import Client
    from edgeai_runtime.monitor.health import of_server
    from edgeai_runtime.monitor.watch import REPORT_PATH

    with Client(args.url, args.uds) as client:
        told = client.get(REPORT_PATH)
    return {"changed": False, "server": str(args.uds or args.url), **of_server(told)}


def _status_of_device(paths: Paths) -> Result:
    from edgeai_runtime.generations.keeper_client import KeeperClient
    from edgeai_runtime.generations.manifest import current_manifest
    from edgeai_runtime.monitor import health
    from edgeai_runtime.monitor.alarm_book import AlarmBook, sentences
    from edgeai_runtime.monitor.asking import ask
    from edgeai_runtime.monitor.readings import Machine
    from edgeai_runtime.settings import load_device
    from edgeai_runtime.system_versions import system_versions
    from edgeai_runtime.trust.alarms import alarms

    if not paths.device_toml.exists():
        raise InputError(
            f"{paths.device_toml}: this device is not provisioned; run the provision playbook for it first, "
            "or name a server that was started by hand with --url or --uds."
        )
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
    return health.report(
        load_device(paths), status, manifest, system_versions(), said, service=service, readings=readings
    )


@on_device("verify", "Read every file the device may need and say which are damaged")
def verify(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.verify import verify

    return as_dict(verify(paths, progress))


@on_device(
    "report make",
    "Write status, generations and journal, and sign them",
    argument("--output", type=Path, required=True, metavar="FILE", help="FILE.sig comes beside it"),
    argument(
        "--days",
        type=number(0, 100_000),
        default=0.0,
        metavar="N",
        help="back in the journal (default: all of it)",
    ),
)
def report_make(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.report import make_report
    from edgeai_runtime.settings import load_device

    device = load_device(paths)
    try:
        told = _status_of_device(paths)
    except KeeperError as error:  # then a report is wanted most
        told = {"name": device.name, "phase": None, "reason": error.message}
    return as_dict(make_report(paths, told, args.output.absolute(), args.days))


@on_device("report key", "Show the public key that checks this device's reports")
def report_key(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.report import public_key
    from edgeai_runtime.settings import load_device

    key = public_key(paths, load_device(paths).name)
    return {"changed": False, "public_key": key, "file": str(paths.var / "report_key.pub")}


@command(
    "report check",
    "Check a report on any machine",
    argument("report", type=Path),
    argument("--public-key", type=Path, required=True, metavar="FILE", help="what `edgeai report key` shows"),
)
def report_check(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.report import check_report

    return as_dict(check_report(args.report, args.public_key))


@on_device(
    "alarms show",
    "Show the alarms that stand, and their history",
    argument(
        "--last",
        type=whole(1, 1_000_000),
        default=20,
        metavar="N",
        help="entries of the history (default: 20)",
    ),
)
def alarms_show(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.monitor.alarm_book import AlarmBook

    book = AlarmBook(paths.alarms)
    standing = [{"alarm": name, **entry} for name, entry in sorted(book.standing.items())]
    columns = ("time", "alarm", "event", "by", "sentence")
    history = [{name: event.get(name) for name in columns} for event in book.history[-args.last :]]
    told: Result = {"changed": False, "standing": standing, "history": history}
    return told if standing else {**told, "actions": ["No alarm stands."]}


@on_device(
    "alarms acknowledge",
    "Say that you know; a latched alarm ends with it",
    argument("name", help="as `edgeai alarms show` names it"),
)
def alarms_acknowledge(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.monitor.alarm_book import AlarmBook

    book = AlarmBook(paths.alarms)
    changed = book.acknowledge(args.name, actor())
    return {"changed": changed, "actions": [f"{args.name} is acknowledged"]}


@step("fetch", "Fetch a signed release from the depot and verify it", *_NAMED, CHECK)
def fetch(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.settings import load_device
    from edgeai_runtime.trust import fetch_release

    return as_dict(fetch_release(paths, load_device(paths), args.name, args.version, args.check, progress))


@step("convert", "Convert a fetched release for this device and measure it", *_NAMED, CHECK)
def convert(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.convert.convert import convert_release
    from edgeai_runtime.generations.live import live
    from edgeai_runtime.settings import load_device
    from edgeai_runtime.trust import load_release

    device = load_device(paths)
    release = load_release(paths, args.name, args.version)
    serving = live(paths, release.name)
    return as_dict(convert_release(paths, device, release, args.check, progress, serving))


@on_device(
    "conversion share",
    "Write what this device made of a release, for others of the same make",
    *_NAMED,
    argument("--output", type=Path, required=True, metavar="DIR"),
    CHECK,
)
def conversion_share(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.convert.convert import share_conversion
    from edgeai_runtime.convert.shared import write_shared
    from edgeai_runtime.settings import load_device
    from edgeai_runtime.trust import load_release

    release = load_release(paths, args.name, args.version)
    given = share_conversion(paths, load_device(paths), release)
    return as_dict(write_shared(paths, given, args.output.absolute(), args.check))


@on_device("job start", "Start a command, or join it where it runs already", _OF_A_JOB)
def job_start(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime import jobs
    from edgeai_runtime.cli.parser import build_parser

    build_parser().parse_args(args.words)  # a mistake is told at once
    return {"job": jobs.start(paths, args.words)}


@on_device(
    "job wait",
    "Show what a job has told, and its answer once it ended",
    argument("job"),
    argument("--seconds", type=seconds, default=60.0, help="for more, at most (default: 60)"),
    argument(
        "--after", type=whole(0, 1_000_000), default=0, metavar="N", help="without its first N sentences"
    ),
)
def job_wait(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime import jobs

    return as_dict(jobs.wait(paths, args.job, args.seconds, args.after))


@on_device(
    "job run",
    "What the job's own process does",
    argument("job"),
    argument("--lock-fd", type=descriptor, required=True, metavar="FD"),
    _OF_A_JOB,
)
def job_run(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime import jobs

    jobs.run(paths, args.job, args.words, args.lock_fd)
    return {}


@step(
    "trial",
    "Gate a release or an environment, then switch to it on trial",
    one_of(
        argument("--release", nargs=2, metavar=("NAME", "VERSION")),
        argument("--environment", metavar="DIGEST"),
        required=True,
    ),
    _DEADLINE,
    CHECK,
)
def trial(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.generations.trial import trial
    from edgeai_runtime.settings import load_device
    from edgeai_runtime.trust import load_release

    return as_dict(
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


@on_device(
    "soak",
    "Watch the trial; fails as soon as the device takes it back",
    argument("--seconds", type=seconds, default=300.0),
)
def soak(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.generations.soak import soak

    return as_dict(soak(paths, args.seconds, progress))


@step("confirm", "Keep the generation on trial", CHECK)
def confirm(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.generations.verdicts import confirm
    from edgeai_runtime.settings import load_device

    kept = load_device(paths).generations_kept
    return as_dict(confirm(paths, check=args.check, kept=kept))


@step(
    "rollback",
    "Take one model back to a version confirmed here before",
    argument("--release", required=True, metavar="NAME"),
    argument("--to", metavar="VERSION", help="default: the newest confirmed before"),
    CHECK,
)
def rollback(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.generations.rollback import rollback
    from edgeai_runtime.settings import load_device

    return as_dict(
        rollback(
            paths,
            load_device(paths),
            model=args.release,
            to_version=args.to,
            check=args.check,
            progress=progress,
        )
    )


@on_device("update check", "Show what the depot offers that is newer")
def update_check(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.settings import load_device
    from edgeai_runtime.updates import check_updates

    return as_dict(check_updates(paths, load_device(paths)))


@step("update fetch", "Fetch what is newer; what serves stays", CHECK)
def update_fetch(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.settings import load_device
    from edgeai_runtime.updates import fetch_updates

    return as_dict(fetch_updates(paths, load_device(paths), args.check, progress))


@step(
    "update apply",
    "Fetch, convert, gate, try and confirm what is newer",
    argument("--seconds", type=seconds, default=300.0, help="watch each on trial for so long (default: 300)"),
    _DEADLINE,
    CHECK,
)
def update_apply(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.settings import load_device
    from edgeai_runtime.updates import apply_updates

    return as_dict(
        apply_updates(
            paths,
            load_device(paths),
            soak_s=args.seconds,
            deadline_s=args.deadline,
            check=args.check,
            progress=progress,
        )
    )


@step(
    "environment build",
    "Build the environment that a lock names",
    _LOCK,
    *DEPOTS,
    argument("--python", default="/usr/bin/python3", help="default: /usr/bin/python3"),
    CHECK,
)
def environment_build(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.environments import build_from_depot
    from edgeai_runtime.trust.depots import Depots

    return as_dict(
        build_from_depot(
            paths,
            lock_sha256=args.lock_sha256,
            depots=Depots(args.depot, args.rate_limit * 1e6),
            python=args.python,
            check=args.check,
            progress=progress,
        )
    )


@step("environment use", "Let this device's commands come from an environment", _LOCK, CHECK, as_root=True)
def environment_use(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.environments import use_environment

    return as_dict(use_environment(paths, args.lock_sha256, args.check))


@on_device(
    "debian install",
    "Install packages without a mirror; nothing is started",
    argument("package", nargs="+"),
    _LOCK,
    *DEPOTS,
    CHECK,
    as_root=True,
)
def debian_install(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.debian import install
    from edgeai_runtime.trust.depots import Depots

    depots = Depots(args.depot, args.rate_limit * 1e6)
    return as_dict(install(paths.var, args.lock_sha256, depots, args.package, args.check, progress))
