from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest
from clock import Clock

from edgeai_runtime.monitor.alarm_book import AlarmBook, sentences
from edgeai_runtime.monitor.alarms import Alarms
from edgeai_runtime.monitor.rules import Rule

RULES = {
    "hot": Rule("temperature_c", above=85, clear=78, hold_s=30),
    "full": Rule("disk_free_mb", below=512, clear=640),
    "sag": Rule("under_voltage", above=0, clear=0, latched=True),
}


class Bench:
    """Alarms that are looked at every 5 seconds."""

    def __init__(self, path: Optional[Path]) -> None:
        self.clock = Clock()
        self.book = AlarmBook(path)
        self.alarms = Alarms(RULES, self.book, self.clock)

    def look(self, seconds: float = 0, told: Optional[Dict[str, str]] = None, **readings: Any) -> List[str]:
        """What stands after the readings were so for so many seconds."""
        end = self.clock.now + seconds
        self.alarms.evaluate(readings, told or {})
        while self.clock.now < end:
            self.clock.now += 5
            self.alarms.evaluate(readings, told or {})
        return sorted(self.book.standing)

    def events(self) -> List[str]:
        return [f"{entry['alarm']} {entry['event']}" for entry in self.book.history]


@pytest.fixture
def bench() -> Bench:
    return Bench(None)


def test_an_alarm_is_raised_once_it_was_bad_for_long_enough(bench: Bench) -> None:
    assert bench.look(25, temperature_c=86.0) == []
    assert bench.look(5, temperature_c=90.0) == ["hot"]
    assert bench.book.standing["hot"]["sentence"].startswith("The temperature is 90 °C, above 85;")


def test_a_moment_that_is_good_begins_the_waiting_anew(bench: Bench) -> None:
    bench.look(25, temperature_c=86.0)
    bench.look(temperature_c=85.0)
    assert bench.look(25, temperature_c=86.0) == []


def test_an_alarm_stands_until_it_was_well_below_for_a_minute(bench: Bench) -> None:
    bench.look(30, temperature_c=86.0)
    assert bench.look(600, temperature_c=79.0) == ["hot"]
    assert bench.look(55, temperature_c=78.0) == ["hot"]
    assert bench.look(5, temperature_c=78.0) == []
    assert bench.events() == ["hot raised", "hot cleared"]


def test_what_must_not_fall_is_the_other_way_round(bench: Bench) -> None:
    assert bench.look(disk_free_mb=511.0) == ["full"]
    assert bench.look(60, disk_free_mb=639.0) == ["full"]
    assert bench.look(60, disk_free_mb=640.0) == []


def test_a_reading_that_is_gone_changes_nothing(bench: Bench) -> None:
    bench.look(disk_free_mb=1.0)
    assert bench.look(600, disk_free_mb=None) == ["full"]
    assert bench.look(600) == ["full"]


def test_a_latched_alarm_waits_for_a_person(bench: Bench) -> None:
    bench.look(under_voltage=True)
    assert bench.look(3600, under_voltage=False) == ["sag"]
    assert sentences(bench.book.standing)[0].endswith("(over, to be acknowledged)")
    assert bench.book.acknowledge("sag", "anna")
    assert bench.look(under_voltage=False) == []
    assert bench.events() == ["sag raised", "sag cleared", "sag acknowledged"]


def test_a_latched_alarm_that_was_acknowledged_ends_with_its_cause(bench: Bench) -> None:
    bench.look(under_voltage=True)
    bench.book.acknowledge("sag", "anna")
    assert sentences(bench.book.standing)[0].endswith("(acknowledged by anna)")
    assert bench.look(60, under_voltage=False) == []


def test_what_the_code_tells_stands_as_long_as_it_is_told(bench: Bench) -> None:
    assert bench.look(told={"reader": "It fell back."}) == ["reader"]
    assert bench.look(told={"reader": "It fell back."}) == ["reader"]
    assert bench.look() == []
    assert bench.events() == ["reader raised", "reader cleared"]


def test_alarms_and_their_history_survive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "alarms" / "alarms.json"
    bench = Bench(path)
    bench.look(disk_free_mb=1.0)
    bench.look(60, disk_free_mb=999.0)
    bench.look(under_voltage=True)
    again = Bench(path)
    assert again.events() == ["full raised", "full cleared", "sag raised"]
    assert again.look(under_voltage=True) == ["sag"]
    assert again.events() == bench.events()


def test_an_alarm_whose_rule_is_gone_goes_too(tmp_path: Path) -> None:
    Bench(tmp_path / "alarms.json").look(disk_free_mb=1.0)
    book = AlarmBook(tmp_path / "alarms.json")
    Alarms({}, book, Clock()).evaluate({"disk_free_mb": 1.0}, {})
    assert book.standing == {}


def test_a_reading_that_comes_and_goes_is_one_write_to_the_sd_card(tmp_path: Path) -> None:
    path = tmp_path / "alarms.json"
    bench = Bench(path)
    assert bench.look(60, disk_free_mb=9999.0, under_voltage=False) == []
    assert not path.exists()
    written = set()
    for _turn in range(500):
        bench.look(5, disk_free_mb=1.0)
        written.add(path.stat().st_mtime_ns)
        bench.look(30, disk_free_mb=999.0)
        written.add(path.stat().st_mtime_ns)
    assert len(written) == 1


def test_a_latched_alarm_that_comes_back_before_anybody_looked_is_no_news(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "alarms.json")
    for _turn in range(20):
        bench.look(under_voltage=True)
        bench.look(120, under_voltage=False)
    assert bench.events() == ["sag raised", "sag cleared"]
    bench.look(under_voltage=True)
    assert bench.book.standing["sag"]["active"]
