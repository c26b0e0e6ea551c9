"""A device whose clock was or is decades off updates itself, and loses nothing that it needs."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone

import pytest
from factory import Factory

from edgeai_runtime.trust import clock


@pytest.mark.parametrize("year", [1970, 2100])
@pytest.mark.parametrize("still", [True, False], ids=["still wrong", "right again"])
def test_an_update(factory: Factory, monkeypatch: pytest.MonkeyPatch, year: int, still: bool) -> None:
    wrong = datetime(year, 1, 2, tzinfo=timezone.utc)
    for path in factory.paths.opt.rglob("*"):
        os.utime(path, (wrong.timestamp(), wrong.timestamp()), follow_symlinks=False)
    with open(factory.paths.journal, "a") as journal:
        journal.write(json.dumps({"time": wrong.isoformat(), "event": "test", "actor": "test"}) + "\n")
    if still:
        monkeypatch.setattr(clock, "system_time", lambda: wrong)
    factory.must("update", "apply", "--seconds", "0")
    factory.bench.wait_served("1.1.0")
    factory.must("verify")
    assert any("is not believed" in alarm for alarm in factory.must("status")["alarms"]) == still
    factory.must("rollback", "--release", "label-reader")
    factory.bench.wait_served("1.0.0")
    factory.must("verify")
