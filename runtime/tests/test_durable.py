import json
import multiprocessing
import stat
from pathlib import Path
from typing import Any

import pytest

from edgeai_runtime import durable
from edgeai_runtime.errors import InputError, StorageError
from edgeai_runtime.paths import Paths


def test_a_written_file_has_its_content_and_mode_and_leaves_nothing_beside(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file"
    durable.write_atomic(target, b"old")
    durable.write_atomic(target, b"new", mode=0o600)
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [entry.name for entry in target.parent.iterdir()] == ["file"]


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_beside(tmp_path: Path) -> None:
    target = tmp_path / "directory"
    target.mkdir()
    (target / "inside").touch()
    with pytest.raises(StorageError, match=r"/directory: cannot be written .*; make room or correct"):
        durable.write_atomic(target, b"data")  # a file cannot replace a directory
    assert [entry.name for entry in tmp_path.iterdir()] == ["directory"]


def _hold_lock(root: Path, held: Any, release: Any) -> None:
    with durable.device_lock(Paths(root)):
        held.set()
        release.wait(30)


def test_a_device_has_one_lock_and_names_who_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "LOCK_WAIT_S", 0.3)
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    holder = context.Process(target=_hold_lock, args=(tmp_path, held, release))
    holder.start()
    try:
        assert held.wait(30)
        busy = f"process {holder.pid} is changing this device"
        with pytest.raises(InputError, match=busy), durable.device_lock(Paths(tmp_path)):
            pass
    finally:
        release.set()
        holder.join()
    with durable.device_lock(Paths(tmp_path)):
        pass  # free again


def test_the_journal_keeps_every_step_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEAI_ACTOR", "rollout 7")
    paths = Paths(tmp_path)
    durable.append_journal(paths, "switch", generation=2)
    durable.append_journal(paths, "confirm", generation=2)
    lines = [json.loads(line) for line in paths.journal.read_text().splitlines()]
    assert [(line["event"], line["actor"], line["generation"]) for line in lines] == [
        ("switch", "rollout 7", 2),
        ("confirm", "rollout 7", 2),
    ]
    assert lines[0]["time"].endswith("+00:00")
