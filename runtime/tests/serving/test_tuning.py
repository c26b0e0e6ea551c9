"""What a warm-up measured is kept, and never trusted further than it can be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgeai_runtime.serving.batching import Batching
from edgeai_runtime.serving.tuning import MOST, Tuning

FOUND = Batching(8, inline=True, why="measured, ms a row by batch size: 1: 2, 8: 1")


def test_what_was_measured_is_found_by_the_next_process(tmp_path: Path) -> None:
    Tuning(tmp_path / "tuning.json").keep("a model", FOUND, 60.5, 2)
    again = Tuning(tmp_path / "tuning.json")
    assert (again.find("a model"), again.memory_mb("a model"), again.threads("a model")) == (FOUND, 60.5, 2)
    assert (again.find("another"), again.memory_mb("another"), again.threads("another")) == (None, None, None)


def test_it_is_measured_again_with_other_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Tuning(tmp_path / "tuning.json").keep("a model", FOUND, 60.5, 2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3, 4, 5, 6})
    assert Tuning(tmp_path / "tuning.json").find("a model") is None


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"schema": 1, "measured": {}}', b'{"schema": 2, "measured": 3}', b"\xff\xfe"],
)
def test_a_damaged_file_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tuning.json"
    path.write_bytes(content)
    tuning = Tuning(path)
    assert tuning.find("a model") is None
    tuning.keep("a model", FOUND, 60.5, 2)
    assert Tuning(path).find("a model") == FOUND


def test_an_entry_that_is_none_is_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "tuning.json"
    Tuning(path).keep("a model", FOUND, 60.5, 2)
    path.write_text(path.read_text().replace('"max_batch_size": 8', '"max_batch_size": "many"'))
    assert Tuning(path).find("a model") is None


def test_where_nothing_can_be_written_nothing_is_lost(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    tuning = Tuning(tmp_path / "file" / "tuning.json")
    tuning.keep("a model", FOUND, 60.5, 2)
    assert tuning.find("a model") == FOUND


def test_what_is_not_known_yet_or_of_no_fingerprint_is_not_kept(tmp_path: Path) -> None:
    tuning = Tuning(tmp_path / "tuning.json")
    tuning.keep("a model", Batching(), 60.5, 1)
    tuning.keep("", FOUND, 60.5, 2)
    assert list(tmp_path.iterdir()) == []


def test_the_oldest_are_forgotten(tmp_path: Path) -> None:
    tuning = Tuning(tmp_path / "tuning.json")
    for number in range(MOST + 1):
        tuning.keep(str(number), FOUND, 60.5, 2)
    assert tuning.find("0") is None
    assert Tuning(tmp_path / "tuning.json").find(str(MOST)) == FOUND
