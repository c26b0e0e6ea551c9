"""The time that a device believes: never behind what it knows for sure, never out of all reason."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, List

import pytest

pytest.importorskip("cryptography", reason="signing a bundle needs cryptography, which devices lack")

from making import at, pack, provision, write_release

from edgeai_runtime.paths import Paths
from edgeai_runtime.trust import clock, fetch_release
from edgeai_runtime.trust.alarms import alarms
from edgeai_runtime.trust.clock import EARLIEST, believed_time
from edgeai_runtime.trust.known import remembered

NOW = datetime.now(timezone.utc).replace(microsecond=0)
NAME = "label-reader"


@pytest.fixture
def device(tmp_path: Path) -> Paths:
    """It took a bundle that was signed three hours ago."""
    releases = [write_release(tmp_path / "1.0.0")]
    bundle = pack(tmp_path / "bundle", tmp_path / "keys", releases, ago=timedelta(hours=3))
    device = provision(tmp_path / "device", bundle)
    fetch_release(device, at(f"file://{bundle}"), NAME, "1.0.0")
    device.journal.unlink()
    return device


def journal(device: Paths, *times: Any) -> None:
    lines = [line if isinstance(line, str) else json.dumps({"time": line.isoformat()}) for line in times]
    device.journal.write_text("\n".join(lines) + "\n")


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the system's clock."""
    return lambda time: monkeypatch.setattr(clock, "system_time", lambda: time)


YEAR = timedelta(days=365)
UNIX = datetime(1970, 1, 1, 0, 2, tzinfo=timezone.utc)
FAR = datetime(2100, 1, 1, tzinfo=timezone.utc)
SIGNED = "the bundle's time"


@pytest.mark.parametrize(
    ("written", "says_", "expected"),
    [
        ([], NOW, None),
        ([NOW - timedelta(hours=1)], NOW, None),
        ([], NOW + 9 * YEAR, None),
        ([], UNIX, SIGNED),
        ([NOW - timedelta(hours=1)], UNIX, NOW - timedelta(hours=1)),
        ([NOW - timedelta(hours=1), UNIX], UNIX, NOW - timedelta(hours=1)),
        ([], FAR, SIGNED),
        ([FAR], FAR, SIGNED),
        ([FAR], NOW, None),
        ([NOW - timedelta(hours=1)], NOW - timedelta(hours=2), NOW - timedelta(hours=1)),
        (["{", "[]", '{"time": 1}', '{"time": "2026-01-01"}'], NOW, None),
    ],
)
def test_a_clock_is_believed_as_far_as_it_can_be(
    device: Paths, says: Any, written: List[Any], says_: datetime, expected: Any
) -> None:
    if written:
        journal(device, *written)
    says(says_)
    time = believed_time(device)
    signed = datetime.fromtimestamp(remembered(device, "targets")["version"], timezone.utc)
    assert time.now == (signed if expected is SIGNED else expected or says_)
    assert (time.problem is None) == (expected is None)


def test_a_new_device_knows_that_it_is_not_1970(tmp_path: Path, says: Any) -> None:
    says(UNIX)
    assert believed_time(Paths(tmp_path)).now == EARLIEST


@pytest.mark.parametrize("wrong", [UNIX, FAR], ids=["1970", "2100"])
def test_with_a_wrong_clock_a_fresh_bundle_is_taken_and_the_clock_reported(
    device: Paths, says: Any, tmp_path: Path, wrong: datetime
) -> None:
    says(wrong)
    releases = [tmp_path / "1.0.0", write_release(tmp_path / "1.1.0", "1.1.0", b"another")]
    bundle = pack(tmp_path / "bundle", tmp_path / "keys", releases)
    said: List[str] = []
    assert fetch_release(device, at(f"file://{bundle}"), NAME, "1.1.0", progress=said.append).changed
    assert said[0].startswith(f"The clock says {wrong:%Y-%m-%d %H:%M} and is not believed: ")
    events = [json.loads(line) for line in device.journal.read_text().splitlines()]
    assert [line["reason"] for line in events if line["event"] == "clock_disbelieved"] == said[:1]
    (alarm,) = alarms(device, {})
    assert alarm.startswith(f"The clock says {wrong:%Y-%m-%d %H:%M} and is not believed: ")
    assert "runtime_time_server" in alarm


def test_a_healthy_device_has_no_alarm(device: Paths) -> None:
    assert alarms(device, {NAME: "1.0.0"}) == []
