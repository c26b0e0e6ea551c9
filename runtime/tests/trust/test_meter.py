"""How far a transfer is, told as a sentence, as JSON and as a bar; and never faster than allowed."""

from __future__ import annotations

import io
import json
from typing import List

import pytest

from edgeai_runtime.progress import Progress, Transferred
from edgeai_runtime.trust import meter
from edgeai_runtime.trust.meter import Meter


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """Time that passes by sleeping alone."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    passing = Clock()
    monkeypatch.setattr(meter, "time", passing)
    return passing


def told_after_a_second(clock: Clock) -> Transferred:
    told: List[str] = []
    count = Meter(10_000_000, 0, told.append)
    count(1_000_000)
    assert told == []
    clock.now = 1.0
    count(1_000_000)
    (sentence,) = told
    assert isinstance(sentence, Transferred)
    return sentence


def test_it_tells_bytes_rate_and_what_remains(clock: Clock) -> None:
    sentence = told_after_a_second(clock)
    assert sentence == "2.0 of 10.0 MB, 2.0 MB/s, 4 s remain"
    assert sentence.figures == {"bytes": 2_000_000, "total": 10_000_000, "rate": 2_000_000, "remaining_s": 4}


def test_a_rate_is_kept_and_nothing_is_made_up_for_later(clock: Clock) -> None:
    count = Meter(10_000_000, 1_000_000, lambda sentence: None)
    count(500_000)
    assert clock.now == 0.5
    clock.now = 10.0  # the depot was away
    for _piece in range(4):
        count(500_000)
    assert clock.now == 12.0


def test_without_a_rate_nobody_waits(clock: Clock) -> None:
    Meter(10_000_000, 0, lambda sentence: None)(10_000_000)
    assert clock.now == 0.0


def test_a_program_reads_the_figures(clock: Clock) -> None:
    stream = io.StringIO()
    with Progress(as_json=True, stream=stream) as progress:
        progress("fetching")
        progress(told_after_a_second(clock))
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [
        {"progress": "fetching"},
        {
            "progress": "2.0 of 10.0 MB, 2.0 MB/s, 4 s remain",
            "bytes": 2_000_000,
            "total": 10_000_000,
            "rate": 2_000_000,
            "remaining_s": 4.0,
        },
    ]


def test_a_terminal_shows_a_bar_that_gives_way_to_the_next_sentence(clock: Clock) -> None:
    stream = Terminal()
    with Progress(as_json=False, stream=stream) as progress:
        progress(told_after_a_second(clock))
        progress("9 of 9 files")
    shown, sentence = stream.getvalue().split("\r\x1b[K")
    assert shown.startswith("[######........................] 2.0 of 10.0 MB")
    assert sentence == "9 of 9 files\n"


def test_a_log_is_not_filled_with_figures(clock: Clock) -> None:
    stream = io.StringIO()
    with Progress(as_json=False, stream=stream) as progress:
        progress(told_after_a_second(clock))
    assert stream.getvalue() == ""
