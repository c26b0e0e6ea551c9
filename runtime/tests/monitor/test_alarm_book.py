from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from edgeai_runtime.errors import InputError
from edgeai_runtime.monitor.alarm_book import HISTORY, AlarmBook, entry, sentences


def raise_alarm(book: AlarmBook, name: str) -> None:
    def work(standing: Any) -> Any:
        standing[name] = entry(f"{name}.")
        return [{"alarm": name, "event": "raised", "sentence": f"{name}."}]

    book.change(work)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "alarms" / "alarms.json"


def test_a_book_that_nobody_wrote_is_empty(path: Path) -> None:
    book = AlarmBook(path)
    assert (book.standing, book.history) == ({}, [])
    assert not path.parent.exists()


def test_two_processes_write_the_same_book(path: Path) -> None:
    serving, hand = AlarmBook(path), AlarmBook(path)
    raise_alarm(serving, "disk")
    assert hand.acknowledge("disk", "anna")  # it read what the other one wrote
    raise_alarm(serving, "wear")
    assert serving.standing["disk"]["acknowledged"] == "anna"
    assert [event["event"] for event in serving.history] == ["raised", "acknowledged", "raised"]


def test_who_has_acknowledged_before_changes_nothing(path: Path) -> None:
    book = AlarmBook(path)
    raise_alarm(book, "disk")
    book.acknowledge("disk", "anna")
    before = path.read_bytes()
    assert not book.acknowledge("disk", "bert")
    assert path.read_bytes() == before


def test_what_does_not_stand_cannot_be_acknowledged(path: Path) -> None:
    book = AlarmBook(path)
    raise_alarm(book, "disk")
    with pytest.raises(InputError, match="There is no alarm 'dsk'; standing are: disk"):
        book.acknowledge("dsk", "anna")


def test_the_history_is_bounded(path: Path) -> None:
    book = AlarmBook(path)
    for number in range(HISTORY + 5):
        raise_alarm(book, f"alarm-{number}")
    history = json.loads(path.read_bytes())["history"]
    assert len(history) == HISTORY
    assert history[-1]["alarm"] == f"alarm-{HISTORY + 4}"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"standing": []}', '{"standing": {"a": 1}, "history": []}']
)
def test_a_damaged_book_is_begun_anew(path: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.mkdir()
    path.write_text(content)
    with caplog.at_level(logging.WARNING):
        book = AlarmBook(path)
    assert f"{path} cannot be read" in caplog.text
    raise_alarm(book, "disk")
    assert list(AlarmBook(path).standing) == ["disk"]


def test_what_a_newer_runtime_wrote_besides_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    newer = {"schema": 2, "standing": {"disk": {"sentence": "Full.", "colour": "red"}}, "history": [], "x": 1}
    path.write_text(json.dumps(newer))
    book = AlarmBook(path)
    assert sentences(book.standing) == ["Full."]
    raise_alarm(book, "wear")
    assert AlarmBook(path).standing["disk"]["colour"] == "red"


def test_a_disk_that_cannot_be_written_costs_the_file_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    book = AlarmBook(path)
    monkeypatch.setattr("edgeai_runtime.monitor.alarm_book.write_atomic", full)
    raise_alarm(book, "disk")
    book.refresh()
    assert list(book.standing) == ["disk"]
    assert "cannot be written (No space left on device)" in caplog.text


def test_what_nobody_acknowledged_is_told_first() -> None:
    standing = {
        "a": {**entry("A."), "acknowledged": "anna"},
        "b": {**entry("B."), "active": False},
        "c": entry("C."),
    }
    assert sentences(standing) == ["B. (over, to be acknowledged)", "C.", "A. (acknowledged by anna)"]
