"""The journal: lines that follow one another, in files that do, whatever cuts the power."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path
from typing import Any, Dict, List

import pytest
from edgeai_keeper import journal
from edgeai_keeper.journal import append_journal, digest, read_journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are full after a few lines."""
    monkeypatch.setattr(journal, "FULL", 600)


def entries(path: Path) -> List[Dict[str, Any]]:
    return [json.loads(line) for line in read_journal(path)]


def steps(path: Path, first: int, after: int) -> None:
    for number in range(first, after):
        append_journal(path, "step", "test", {"number": number})


def files(path: Path) -> List[str]:
    return sorted(file.name for file in path.parent.glob("journal*"))


def linked(path: Path) -> bool:
    lines = read_journal(path)
    return [json.loads(line)["previous"] for line in lines[1:]] == [digest(line) for line in lines[:-1]]


def test_each_line_has_the_digest_of_the_one_before(path: Path) -> None:
    steps(path, 0, 3)
    assert entries(path)[0]["previous"] == ""
    assert linked(path)


@pytest.mark.usefixtures("small")
def test_a_full_file_is_put_aside_and_the_lines_go_on(path: Path) -> None:
    steps(path, 0, 10)
    assert [entry["number"] for entry in entries(path)] == list(range(10))
    assert "journal.1.jsonl" in files(path)
    assert all((path.parent / name).stat().st_size <= 600 for name in files(path))
    assert linked(path)


@pytest.mark.usefixtures("small")
def test_the_oldest_files_go(path: Path) -> None:
    steps(path, 0, 60)
    numbers = [entry["number"] for entry in entries(path)]
    assert numbers == list(range(numbers[0], 60))
    assert len(files(path)) == 1 + journal.KEPT
    assert linked(path)


@pytest.mark.usefixtures("small")
def test_the_names_count_as_numbers_do(path: Path) -> None:
    (path.parent / "journal.9.jsonl").write_text('{"number": 0}\n')
    steps(path, 1, 10)
    assert [entry["number"] for entry in entries(path)] == list(range(10))
    assert "journal.10.jsonl" in files(path)


def test_the_last_lines_can_be_read_alone(path: Path) -> None:
    steps(path, 0, 20)
    lines = read_journal(path)
    assert read_journal(path, reach=len(lines[-1]) + len(lines[-2]) + 2) == lines[-2:]


@pytest.mark.usefixtures("small")
def test_the_last_lines_reach_into_the_file_before(path: Path) -> None:
    steps(path, 0, 10)
    lines = read_journal(path)
    here = path.read_bytes().splitlines()
    reach = path.stat().st_size + len(lines[-len(here) - 1]) + 1
    assert read_journal(path, reach) == lines[-len(here) - 1 :]


@pytest.mark.parametrize("left", [b'{"time": "20', b"\0" * 100, b'{"torn"' + b"x" * journal.LAST_LINES])
def test_what_a_power_cut_left_of_a_line_is_no_line(path: Path, left: bytes) -> None:
    steps(path, 0, 2)
    with path.open("ab") as file:
        file.write(left)
    steps(path, 2, 3)
    assert [entry["number"] for entry in entries(path)] == [0, 1, 2]
    assert linked(path)


def test_a_line_longer_than_others_is_linked_as_well(path: Path) -> None:
    append_journal(path, "step", "test", {"said": "x" * 3 * journal.LAST_LINES})
    append_journal(path, "step", "test", {"said": "y" * 3 * journal.LAST_LINES})
    steps(path, 0, 1)
    assert len(entries(path)) == 3
    assert linked(path)


@pytest.mark.usefixtures("small")
def test_a_power_cut_after_the_full_file_got_its_name_loses_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_arguments: Any) -> None:
        raise KeyboardInterrupt

    steps(path, 0, 2)
    with monkeypatch.context() as patch:
        patch.setattr(journal, "FULL", 1)
        patch.setattr(os, "write", cut)
        with pytest.raises(KeyboardInterrupt):
            steps(path, 2, 3)
    steps(path, 2, 4)
    assert [entry["number"] for entry in entries(path)] == [0, 1, 2, 3]
    assert linked(path)


def test_a_full_disk_is_told_and_leaves_no_half_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps(path, 0, 1)
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, data: write(file, data[:7]))
        with pytest.raises(OSError, match="No space left"):
            steps(path, 1, 2)
    steps(path, 1, 2)
    assert [entry["number"] for entry in entries(path)] == [0, 1]


def test_a_link_in_the_journals_place_is_not_followed(path: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        steps(path, 0, 1)
    assert (tmp_path / "elsewhere").read_bytes() == b""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write what is another's")
def test_what_root_begins_is_the_owners(path: Path) -> None:
    os.chown(path.parent, 65534, 65534)
    steps(path, 0, 1)
    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65534)


def _append(path: Path, who: str) -> None:
    journal.FULL = 4000
    journal.KEPT = 10**6
    for number in range(200):
        append_journal(path, "step", who, {"number": number})


def test_two_writers_lose_nothing_and_double_nothing_while_files_change(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append, args=(path, who)) for who in ("keeper", "command")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = entries(path)
    for who in ("keeper", "command"):
        assert [entry["number"] for entry in found if entry["actor"] == who] == list(range(200))
    assert len(found) == 400
    assert linked(path)
    assert len(files(path)) > 10
