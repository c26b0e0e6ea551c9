"""The time by which this device judges what has expired: its clock's, where that can be.

Small boards have no clock that runs without power, and who sets a clock back makes old metadata fresh.
So it is never earlier than what the device knows for sure: when the newest bundle it took was signed,
and what its journal saw. The bundle's time is that of the targets metadata (bundle/signing.py makes the
time its version), whose keys are not those that a timestamp is signed with: a stolen one moves no clock.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Iterator, Optional

from edgeai_keeper.journal import read_journal

from edgeai_runtime.paths import Paths
from edgeai_runtime.trust.known import remembered

# No bundle is older than this program.
EARLIEST = datetime(2025, 1, 1, tzinfo=timezone.utc)
# Twice as long as a root may be good: a clock that says later than that is wrong, not the bundle old.
FARTHEST = timedelta(days=20 * 365)
# Of two bundles made in one second the newer is a second ahead, and the clocks of two machines differ by
# some: nothing to tell anybody of.
SLACK = timedelta(minutes=1)
_JOURNAL_TAIL = 1 << 16  # bytes


@dataclass(frozen=True)
class Time:
    """`now` to judge by, and what is wrong with the clock, if anything, in a sentence."""

    now: datetime
    problem: Optional[str] = None


def believed_time(paths: Paths) -> Time:
    """The clock's time, or the latest that is known for sure where the clock cannot be right."""
    signed = _signing_time(paths)
    latest = max([signed, *(seen for seen in _journal_times(paths) if seen - signed <= FARTHEST)])
    clock = system_time()  # last: others write to the journal meanwhile
    if latest - SLACK <= clock <= signed + FARTHEST:
        return Time(max(clock, latest))
    return Time(
        latest,
        f"The clock says {clock:%Y-%m-%d %H:%M} and is not believed: {latest:%Y-%m-%d %H:%M} is the latest "
        "time that this device knows for sure; set it, or name a time server (runtime_time_server).",
    )


def system_time() -> datetime:
    """The system's clock, UTC."""
    return datetime.now(timezone.utc)


def _signing_time(paths: Paths) -> datetime:
    """When the newest bundle was signed; EARLIEST where its version is no such time."""
    version = remembered(paths, "targets").get("version", 0)
    try:
        return max(EARLIEST, datetime.fromtimestamp(version, timezone.utc))
    except (OverflowError, ValueError, OSError):
        return EARLIEST


def _journal_times(paths: Paths) -> Iterator[datetime]:
    """The times in the journal's last entries; lines that a power cut spoilt are passed over."""
    try:
        lines = read_journal(paths.journal, _JOURNAL_TAIL)
    except OSError:
        return
    for line in lines:
        try:
            time = datetime.fromisoformat(json.loads(line)["time"])
        except (ValueError, KeyError, TypeError):
            continue
        if time.tzinfo is not None:
            yield time
