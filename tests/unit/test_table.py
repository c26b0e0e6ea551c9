"""How dictionaries become a table for people."""

from __future__ import annotations

from ansible_collections.edgeai.fleet.plugins.plugin_utils.text import table


def test_words_stand_left_and_figures_right() -> None:
    rows = [{"device": "a", "p99_ms": 7.25}, {"device": "line-1", "p99_ms": 123.4}]
    assert table(rows, ["device", "p99_ms=p99 ms"]).splitlines() == [
        "device  p99 ms",
        "------  ------",
        "a          7.2",
        "line-1     123",
    ]


def test_what_is_missing_is_a_dash() -> None:
    assert (
        table([{"a": None, "b": "", "c": [], "e": {}}], ["a", "b", "c", "d", "e"]).splitlines()[2].split()
        == ["-"] * 5
    )


def test_a_column_of_figures_stays_one_when_some_are_missing() -> None:
    rows = [{"n": 10}, {"n": None}]
    assert table(rows, ["n"]).splitlines()[2:] == ["10", " -"]


def test_collections_are_shown_in_words() -> None:
    rows = [{"models": {"reader": "1.0.0", "sorter": "2.0.0"}, "alarms": ["hot", "full"], "up": True}]
    assert (
        table(rows, ["models", "alarms", "up"]).splitlines()[2]
        == "reader 1.0.0, sorter 2.0.0  hot, full  yes"
    )


def test_a_value_over_several_lines_stays_on_one() -> None:
    assert table([{"reason": "one\n  two"}], ["reason"]).splitlines()[2] == "one two"
