"""The words of the `edgeai` command: its subcommands and their arguments."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any, List, Optional, Tuple

from edgeai_runtime import __version__, commands
from edgeai_runtime.commands import Command
from edgeai_runtime.completion import SHELLS


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="say what would be done, change nothing")


def _add_depots(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--depot", required=True, action="append", metavar="URL", help="again for each mirror, asked in order"
    )
    parser.add_argument(
        "--rate-limit", type=float, default=0.0, metavar="MB", help="MB a second at most (default: no limit)"
    )


def _add_keys(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--keys", type=Path, required=True, metavar="DIR", help="where the keys lie")


def _add_passphrase(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--passphrase-file",
        type=Path,
        metavar="FILE",
        help="has the passphrase of encrypted keys (default: EDGEAI_PASSPHRASE, else the terminal is asked)",
    )


def _role(text: str) -> Tuple[str, int, List[str]]:
    match = re.fullmatch(r"(root|targets|snapshot|timestamp)=(?:([0-9]{1,3}):)?(.+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"'{text}' is not ROLE=[THRESHOLD:]KEY,KEY,…")
    return match[1], int(match[2] or 1), match[3].split(",")


def _add_repository(parser: argparse.ArgumentParser, default: Optional[str]) -> None:
    """Where a TUF repository is; given before the command or after it, as whoever calls likes."""
    for option, kind, metavar in (
        ("--metadata-dir", Path, "DIR"),
        ("--metadata-url", str, "URL"),
        ("--target-name", str, "NAME"),
        ("--target-base-url", str, "URL"),
        ("--target-dir", Path, "DIR"),
    ):
        parser.add_argument(option, type=kind, metavar=metavar, default=default)


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 1")
    return int(text)


def _several(text: str) -> List[int]:
    return [_positive(part.strip()) for part in text.split(",")]


def _target_and_directory(text: str) -> Tuple[str, Path]:
    target, equals, directory = text.partition("=")
    if not (target and equals and directory):
        raise argparse.ArgumentTypeError(f"'{text}' is not TARGET=DIR")
    return target, Path(directory)


def build_parser() -> argparse.ArgumentParser:
    """The parser; what it finds has `run`, the function of the command."""
    parser = argparse.ArgumentParser(
        prog="edgeai", description="Fetch, convert, prove, serve and take back models on this device."
    )
    parser.add_argument("--version", action="version", version=f"edgeai {__version__}")
    parser.add_argument(
        "--root", type=Path, default=Path("/"), help="the device's root directory (default: /)"
    )
    parser.add_argument("--json", action="store_true", help="answer with one JSON object, progress on stderr")
    words = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(to: Any, name: str, run: Optional[Command], help_: str) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = to.add_parser(name, help=help_, description=help_)
        command.set_defaults(run=run)
        return command

    config = add(words, "config", commands.config, "Show the settings in force, and where each comes from")
    config.add_argument("--config", type=Path, metavar="FILE", help="default: this device's")
    add(words, "status", commands.status, "Show what this device serves and how it does")

    add(words, "verify", commands.verify, "Read every file the device may need and say which are damaged")
    report = words.add_parser("report", help="What this device did, signed by it").add_subparsers(
        metavar="COMMAND", required=True
    )
    make = add(report, "make", commands.report_make, "Write status, generations and journal, and sign them")
    make.add_argument("--output", type=Path, required=True, metavar="FILE", help="FILE.sig comes beside it")
    make.add_argument(
        "--days", type=float, default=0.0, metavar="N", help="back in the journal (default: all of it)"
    )
    add(report, "key", commands.report_key, "Show the public key that checks this device's reports")
    check = add(report, "check", commands.report_check, "Check a report on any machine")
    check.add_argument("report", type=Path)
    check.add_argument(
        "--public-key", type=Path, required=True, metavar="FILE", help="what `edgeai report key` shows"
    )
    alarms = words.add_parser("alarms", help="What needs a person, and what did").add_subparsers(
        metavar="COMMAND", required=True
    )
    show = add(alarms, "show", commands.alarms_show, "Show the alarms that stand, and their history")
    show.add_argument(
        "--last", type=_positive, default=20, metavar="N", help="entries of the history (default: 20)"
    )
    acknowledge = add(
        alarms, "acknowledge", commands.alarms_acknowledge, "Say that you know; a latched alarm ends with it"
    )
    acknowledge.add_argument("name", help="as `edgeai alarms show` names it")

    infer = add(words, "infer", commands.infer, "Send one image to a model and show the answer")
    infer.add_argument("image", type=Path)
    infer.add_argument("--url", help="where it is served (default: this device)")
    infer.add_argument("--model", help="its name (default: the only one served)")

    bench = add(words, "bench", commands.bench, "Measure a model where it is served, as a client sees it")
    bench.add_argument("--model", help="its name (default: the only one served)")
    where = bench.add_mutually_exclusive_group()
    where.add_argument("--url", help="where it is served (default: this device)")
    where.add_argument("--uds", type=Path, metavar="PATH", help="at this Unix socket")
    bench.add_argument(
        "--concurrency", type=_several, default=[1, 8], metavar="N,N,…", help="clients at once (default: 1,8)"
    )
    bench.add_argument("--seconds", type=float, default=5.0, metavar="S", help="for each (default: 5)")
    bench.add_argument("--image", type=Path, metavar="FILE", help="what is asked (default: random numbers)")

    fetch = add(words, "fetch", commands.fetch, "Fetch a signed release from the depot and verify it")
    convert = add(
        words, "convert", commands.convert, "Convert a fetched release for this device and measure it"
    )
    for command in (fetch, convert):
        command.add_argument("name")
        command.add_argument("version")
        _add_check(command)

    trial = add(
        words, "trial", commands.trial, "Gate a release or an environment, then switch to it on trial"
    )
    what = trial.add_mutually_exclusive_group(required=True)
    what.add_argument("--release", nargs=2, metavar=("NAME", "VERSION"))
    what.add_argument("--environment", metavar="DIGEST")
    trial.add_argument(
        "--deadline", type=float, default=600.0, metavar="S", help="taken back unless confirmed by then"
    )
    _add_check(trial)

    soak = add(words, "soak", commands.soak, "Watch the trial; fails as soon as the device takes it back")
    soak.add_argument("--seconds", type=float, default=300.0)

    confirm = add(words, "confirm", commands.confirm, "Keep the generation on trial")
    _add_check(confirm)

    rollback = add(
        words, "rollback", commands.rollback, "Take one model back to a version confirmed here before"
    )
    rollback.add_argument("--release", required=True, metavar="NAME")
    rollback.add_argument("--to", metavar="VERSION", help="default: the newest confirmed before")
    _add_check(rollback)

    update = words.add_parser("update", help="What the depot has that is newer").add_subparsers(
        metavar="COMMAND", required=True
    )
    add(update, "check", commands.update_check, "Show what the depot offers that is newer")
    newer = add(update, "fetch", commands.update_fetch, "Fetch what is newer; what serves stays")
    _add_check(newer)
    apply = add(update, "apply", commands.update_apply, "Fetch, convert, gate, try and confirm what is newer")
    apply.add_argument(
        "--seconds", type=float, default=300.0, help="watch each on trial for so long (default: 300)"
    )
    apply.add_argument(
        "--deadline", type=float, default=600.0, metavar="S", help="taken back unless confirmed by then"
    )
    _add_check(apply)

    serve = add(
        words, "serve", commands.serve, "Serve ONNX files by hand; or a generation, as the keeper does"
    )
    serve.add_argument(
        "model", nargs="*", type=Path, metavar="MODEL.onnx", help="served by its name without .onnx"
    )
    serve.add_argument("--http", metavar="HOST:PORT", help="where (default: 127.0.0.1:8080)")
    serve.add_argument("--uds", type=Path, metavar="PATH", help="at this Unix socket as well")
    serve.add_argument("--config", type=Path, metavar="FILE", help="settings, as `edgeai config` shows them")
    of_keeper = serve.add_argument_group("what the keeper says")
    of_keeper.add_argument("--generation", type=Path, metavar="DIR")
    of_keeper.add_argument("--listen-fd", type=int, action="append", default=[], metavar="FD")
    of_keeper.add_argument("--control-fd", type=int, metavar="FD")
    of_keeper.add_argument("--probe-fd", type=int, metavar="FD")

    complete = add(words, "completion", commands.completion, "Print what a shell needs to complete commands")
    complete.add_argument("shell", choices=SHELLS)

    trust = words.add_parser("trust", help="The device's TUF client by itself, for suites that test such")
    _add_repository(trust, default=None)
    trusting = trust.add_subparsers(metavar="COMMAND", required=True)
    init = add(trusting, "init", commands.trust_init, "Trust a first root.json")
    init.add_argument("root_json", type=Path, metavar="ROOT.json")
    for name, run, help_ in (
        ("refresh", commands.trust_refresh, "Bring the trusted metadata up to date"),
        ("download", commands.trust_download, "Refresh, then bring a target"),
    ):
        _add_repository(add(trusting, name, run, help_), default=argparse.SUPPRESS)

    environment = words.add_parser("environment", help="Environments of locked wheels").add_subparsers(
        metavar="COMMAND", required=True
    )
    build = add(environment, "build", commands.environment_build, "Build the environment that a lock names")
    build.add_argument("--lock-sha256", required=True, metavar="DIGEST")
    _add_depots(build)
    build.add_argument("--python", default="/usr/bin/python3", help="default: /usr/bin/python3")
    _add_check(build)

    use = add(
        environment, "use", commands.environment_use, "Let this device's commands come from an environment"
    )
    use.add_argument("--lock-sha256", required=True, metavar="DIGEST")
    _add_check(use)

    debian = words.add_parser("debian", help="Debian packages of a bundle").add_subparsers(
        metavar="COMMAND", required=True
    )
    bring = add(
        debian, "install", commands.debian_install, "Install packages without a mirror; nothing is started"
    )
    bring.add_argument("package", nargs="+")
    bring.add_argument("--lock-sha256", required=True, metavar="DIGEST")
    _add_depots(bring)
    _add_check(bring)

    controller = words.add_parser("controller", help="The factory's controller").add_subparsers(
        metavar="COMMAND", required=True
    )
    begin = add(
        controller,
        "install",
        commands.controller_install,
        "Set a bare controller up from a bundle (its controller.pyz runs this)",
    )
    begin.add_argument("--bundle", type=Path, required=True, metavar="DIR")
    begin.add_argument("--lock-sha256", action="append", required=True, metavar="DIGEST")
    begin.add_argument("--debian-sha256", action="append", default=[], metavar="DIGEST")
    begin.add_argument("--root-sha256", required=True, metavar="DIGEST")
    begin.add_argument(
        "--into",
        type=Path,
        default=Path("/opt/edgeai-controller"),
        metavar="DIR",
        help="deleting it removes the controller again (default: /opt/edgeai-controller)",
    )
    _add_check(begin)

    depot = add(words, "depot", commands.depot, "Serve a bundle's files to the factory")
    depot.add_argument("--directory", type=Path, required=True)
    depot.add_argument("--http", required=True, metavar="HOST:PORT")

    release = words.add_parser("release", help="For a model's author").add_subparsers(
        metavar="COMMAND", required=True
    )
    check = add(release, "check", commands.release_check, "Check an author's release directory")
    check.add_argument("directory", type=Path)
    revoke = add(
        release, "revoke", commands.release_revoke, "Let devices refuse a release, from the next bundle on"
    )
    revoke.add_argument("name")
    revoke.add_argument("version")
    revoke.add_argument("--reason", required=True, help="one line, which the devices tell")
    _add_keys(revoke)
    _add_check(revoke)

    key = words.add_parser("key", help="Keys that sign").add_subparsers(metavar="COMMAND", required=True)
    new = add(key, "new", commands.key_new, "Make a key, encrypted where a passphrase is given")
    new.add_argument("name", help="e.g. root-alice")
    _add_keys(new)
    _add_passphrase(new)
    _add_check(new)

    trust_root = words.add_parser("trust-root", help="Which keys the devices trust").add_subparsers(
        metavar="COMMAND", required=True
    )
    decide = add(
        trust_root, "set", commands.trust_root_set, "Say which keys sign for a role and how many must"
    )
    decide.add_argument(
        "--role",
        type=_role,
        action="append",
        default=[],
        metavar="ROLE=[THRESHOLD:]KEY,KEY,…",
        help="may be repeated; a role that is not named stays as it is",
    )
    decide.add_argument("--expires-days", type=int, default=3650)
    sign = add(trust_root, "sign", commands.trust_root_sign, "Sign a proposed root with the keys here")
    for command in (decide, sign):
        _add_passphrase(command)
        _add_check(command)
    look = add(trust_root, "show", commands.trust_root_show, "Show a root, and whose signatures it lacks")
    for command in (sign, look):
        command.add_argument("file", nargs="?", type=Path, help="default: next-root.json of the keys")
    for command in (decide, sign, look):
        _add_keys(command)

    bundle = words.add_parser("bundle", help="For the connected workstation").add_subparsers(
        metavar="COMMAND", required=True
    )
    make = add(bundle, "build", commands.bundle_build, "Collect wheels and releases and sign them")
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
    make.add_argument(
        "--controller",
        action="append",
        default=[],
        metavar="MACHINE",
        help="what sets a bare controller up, e.g. for x86_64-cp311; may be repeated",
    )
    make.add_argument("--expires-days", type=int, default=365)
    make.add_argument(
        "--debian", action="append", default=[], metavar="SUITE", help="e.g. bookworm-arm64, may be repeated"
    )
    make.add_argument(
        "--debian-package",
        action="append",
        metavar="NAME",
        help="may be repeated (default: chrony, logrotate, nginx, openssh-client)",
    )
    make.add_argument("--debian-sources", type=Path, metavar="FILE", help="a sources.list (default: our own)")
    _add_passphrase(make)
    make.add_argument("--debian-refresh", action="store_true", help="take what is newest, not what is cached")
    _add_check(make)
    show = add(bundle, "show", commands.bundle_show, "Verify a bundle and show what it holds")
    show.add_argument("--depot", required=True, metavar="URL")
    show.add_argument("--root-json", type=Path, required=True)
    show.add_argument("--ca", type=Path, metavar="FILE", help="who vouches for the depot's certificate")
    certificate = add(bundle, "certificate", commands.bundle_certificate, "Make the depot's certificate")
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
