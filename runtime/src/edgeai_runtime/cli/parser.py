"""The words of the `edgeai` command, in the order in which its help lists them."""

from __future__ import annotations

import argparse
from pathlib import Path

from edgeai_runtime import __version__
from edgeai_runtime.cli import author, by_hand, device, workstation
from edgeai_runtime.cli.command import Family

_WORDS = (
    by_hand.config,
    device.status,
    device.verify,
    Family(
        "report",
        "What this device did, signed by it",
        (device.report_make, device.report_key, device.report_check),
    ),
    Family("alarms", "What needs a person, and what did", (device.alarms_show, device.alarms_acknowledge)),
    by_hand.infer,
    by_hand.bench,
    device.fetch,
    device.convert,
    Family("conversion", "What was converted here, for other devices", (device.conversion_share,)),
    Family(
        "job", "A command that goes on when you are gone", (device.job_start, device.job_wait, device.job_run)
    ),
    device.trial,
    device.soak,
    device.confirm,
    device.rollback,
    Family(
        "update",
        "What the depot has that is newer",
        (device.update_check, device.update_fetch, device.update_apply),
    ),
    by_hand.serve,
    by_hand.completion,
    Family(
        "trust",
        "The device's TUF client by itself, for suites that test such",
        (by_hand.trust_init, by_hand.trust_refresh, by_hand.trust_download),
        by_hand.of_repository(default=None),
    ),
    Family(
        "environment", "Environments of locked wheels", (device.environment_build, device.environment_use)
    ),
    Family("debian", "Debian packages of a bundle", (device.debian_install,)),
    Family("controller", "The factory's controller", (workstation.controller_install,)),
    workstation.depot,
    Family(
        "release",
        "For a model's author",
        (author.release_init, author.release_build, author.release_check, workstation.release_revoke),
    ),
    Family("key", "Keys that sign", (workstation.key_new,)),
    Family(
        "trust-root",
        "Which keys the devices trust",
        (workstation.trust_root_set, workstation.trust_root_sign, workstation.trust_root_show),
    ),
    Family(
        "bundle",
        "For the connected workstation",
        (workstation.bundle_build, workstation.bundle_show, workstation.bundle_certificate),
    ),
)


def build_parser() -> argparse.ArgumentParser:
    """The parser; what it finds has `command`."""
    parser = argparse.ArgumentParser(
        prog="edgeai", description="Fetch, convert, prove, serve and take back models on this device."
    )
    parser.add_argument("--version", action="version", version=f"edgeai {__version__}")
    parser.add_argument(
        "--root", type=Path, default=Path("/"), help="the device's root directory (default: /)"
    )
    parser.add_argument("--json", action="store_true", help="answer with one JSON object, progress on stderr")
    words = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for word in _WORDS:
        word.add_to(words)
    return parser
