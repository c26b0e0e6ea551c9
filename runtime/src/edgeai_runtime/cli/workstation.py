"""What is typed on the connected workstation, and in the factory where its bundle arrives."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import List, Tuple

from edgeai_runtime.cli.arguments import CHECK, days
from edgeai_runtime.cli.command import Progress, Result, argument, as_dict, command
from edgeai_runtime.paths import Paths

_KEYS = argument("--keys", type=Path, required=True, metavar="DIR", help="where the keys lie")
_PASSPHRASE = argument(
    "--passphrase-file",
    type=Path,
    metavar="FILE",
    help="has the passphrase of encrypted keys (default: EDGEAI_PASSPHRASE, else the terminal is asked)",
)
_ROOT = argument("file", nargs="?", type=Path, help="default: next-root.json of the keys")


def _role(text: str) -> Tuple[str, int, List[str]]:
    match = re.fullmatch(r"(root|targets|snapshot|timestamp)=(?:([0-9]{1,3}):)?(.+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"'{text}' is not ROLE=[THRESHOLD:]KEY,KEY,…")
    return match[1], int(match[2] or 1), match[3].split(",")


def _target_and_directory(text: str) -> Tuple[str, Path]:
    target, equals, directory = text.partition("=")
    if not (target and equals and directory):
        raise argparse.ArgumentTypeError(f"'{text}' is not TARGET=DIR")
    return target, Path(directory)


@command(
    "controller install",
    "Set a bare controller up from a bundle (its controller.pyz runs this)",
    argument("--bundle", type=Path, required=True, metavar="DIR"),
    argument("--lock-sha256", action="append", required=True, metavar="DIGEST"),
    argument("--debian-sha256", action="append", default=[], metavar="DIGEST"),
    argument("--root-sha256", required=True, metavar="DIGEST"),
    argument(
        "--into",
        type=Path,
        default=Path("/opt/edgeai-controller"),
        metavar="DIR",
        help="deleting it removes the controller again (default: /opt/edgeai-controller)",
    ),
    CHECK,
)
def controller_install(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.controller import install

    return as_dict(
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


@command(
    "depot",
    "Serve a bundle's files to the factory",
    argument("--directory", type=Path, required=True),
    argument("--http", required=True, metavar="HOST:PORT"),
)
def depot(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.depot import serve

    serve(args.directory, args.http)
    return {}


@command(
    "release revoke",
    "Let devices refuse a release, from the next bundle on",
    argument("name"),
    argument("version"),
    argument("--reason", required=True, help="one line, which the devices tell"),
    _KEYS,
    CHECK,
)
def release_revoke(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.bundle.revocation import revoke

    return as_dict(revoke(args.keys, args.name, args.version, args.reason, args.check))


@command(
    "key new",
    "Make a key, encrypted where a passphrase is given",
    argument("name", help="e.g. root-alice"),
    _KEYS,
    _PASSPHRASE,
    CHECK,
)
def key_new(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.bundle.keys import Passphrase, new_key

    return as_dict(new_key(args.keys, args.name, Passphrase(args.passphrase_file), args.check))


@command(
    "trust-root set",
    "Say which keys sign for a role and how many must",
    argument(
        "--role",
        type=_role,
        action="append",
        default=[],
        metavar="ROLE=[THRESHOLD:]KEY,KEY,…",
        help="may be repeated; a role that is not named stays as it is",
    ),
    argument("--expires-days", type=days, default=3650),
    _PASSPHRASE,
    CHECK,
    _KEYS,
)
def trust_root_set(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.bundle.keys import Passphrase
    from edgeai_runtime.bundle.trust_root import set_root

    roles = {role: (threshold, names) for role, threshold, names in args.role}
    passphrase = Passphrase(args.passphrase_file)
    return as_dict(set_root(args.keys, roles, args.expires_days, passphrase, args.check))


@command("trust-root sign", "Sign a proposed root with the keys here", _PASSPHRASE, CHECK, _ROOT, _KEYS)
def trust_root_sign(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.bundle.keys import Passphrase
    from edgeai_runtime.bundle.trust_root import sign_root

    return as_dict(sign_root(args.keys, args.file, Passphrase(args.passphrase_file), args.check))


@command("trust-root show", "Show a root, and whose signatures it lacks", _ROOT, _KEYS)
def trust_root_show(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.bundle.trust_root import show_root

    return as_dict(show_root(args.keys, args.file))


@command(
    "bundle build",
    "Collect wheels and releases and sign them",
    argument("--output", type=Path, required=True, metavar="DIR"),
    argument("--keys", type=Path, required=True, metavar="DIR"),
    argument("--cache", type=Path, required=True, metavar="DIR"),
    argument("--runtime", type=Path, required=True, metavar="DIR", help="the collection's runtime/"),
    argument("--target", action="append", required=True, help="may be given several times"),
    argument(
        "--wheels",
        type=_target_and_directory,
        action="append",
        default=[],
        metavar="TARGET=DIR",
        help="wheels of your own for a target, more or instead of the locked ones",
    ),
    argument("--release", type=Path, action="append", default=[], metavar="DIR"),
    argument(
        "--conversions",
        type=Path,
        metavar="DIR",
        help="what devices converted, as `edgeai conversion share` writes it",
    ),
    argument(
        "--controller",
        action="append",
        default=[],
        metavar="MACHINE",
        help="what sets a bare controller up, e.g. for x86_64-cp311; may be repeated",
    ),
    argument("--expires-days", type=days, default=365),
    argument(
        "--debian", action="append", default=[], metavar="SUITE", help="e.g. bookworm-arm64, may be repeated"
    ),
    argument(
        "--debian-package",
        action="append",
        metavar="NAME",
        help="may be repeated (default: chrony, logrotate, nginx, openssh-client)",
    ),
    argument("--debian-sources", type=Path, metavar="FILE", help="a sources.list (default: our own)"),
    _PASSPHRASE,
    argument("--debian-refresh", action="store_true", help="take what is newest, not what is cached"),
    CHECK,
)
def bundle_build(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.bundle import build
    from edgeai_runtime.bundle.keys import Passphrase

    return as_dict(
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
            conversions=args.conversions,
            passphrase=Passphrase(args.passphrase_file),
            check=args.check,
            progress=progress,
        )
    )


@command(
    "bundle show",
    "Verify a bundle and show what it holds",
    argument("--depot", required=True, metavar="URL"),
    argument("--root-json", type=Path, required=True),
    argument("--ca", type=Path, metavar="FILE", help="who vouches for the depot's certificate"),
)
def bundle_show(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.trust import show_bundle
    from edgeai_runtime.trust.authority import trust_depot

    if args.ca is not None:
        trust_depot(args.ca)
    return as_dict(show_bundle(depot_url=args.depot, root_json=args.root_json))


@command(
    "bundle certificate",
    "Make the depot's certificate",
    argument(
        "--name",
        action="append",
        required=True,
        help="its name or address; may be given several times",
    ),
    _KEYS,
    argument("--days", type=days, default=825, help="for how long it is good (default: 825)"),
    CHECK,
)
def bundle_certificate(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.bundle.certificate import make_certificate

    return as_dict(make_certificate(args.keys, args.name, days=args.days, check=args.check))
