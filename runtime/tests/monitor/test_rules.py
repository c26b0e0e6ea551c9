from __future__ import annotations

from typing import Any, Dict

import pytest

from edgeai_runtime.errors import InputError
from edgeai_runtime.monitor.readings import SAID
from edgeai_runtime.monitor.rules import DEFAULTS, Rule, read_rules


def test_nothing_set_means_the_rules_that_come_with_the_runtime() -> None:
    assert read_rules({}, "device.toml") == DEFAULTS


@pytest.mark.parametrize("name", sorted(DEFAULTS))
def test_a_rule_is_about_a_reading_and_is_not_raised_where_it_is_cleared(name: str) -> None:
    rule = DEFAULTS[name]
    assert rule.reading in SAID
    assert (rule.above is None) != (rule.below is None)
    assert rule.clears(rule.clear)
    assert not rule.raises(rule.clear)


def test_a_table_changes_the_keys_it_has() -> None:
    rules = read_rules({"disk": {"below": 2048, "clear": 4096}}, "device.toml")
    assert rules["disk"] == DEFAULTS["disk"]._replace(below=2048, clear=4096)


def test_false_switches_a_rule_off() -> None:
    assert set(DEFAULTS) - set(read_rules({"wear": False}, "device.toml")) == {"wear"}


def test_a_new_name_is_a_new_rule() -> None:
    table = {"reading": "gpu_percent", "above": 95, "clear": 80, "hold_s": 300, "advice": "add a device"}
    assert read_rules({"busy": table}, "device.toml")["busy"] == Rule(
        "gpu_percent", above=95, clear=80, hold_s=300, advice="add a device"
    )


def test_an_alarm_says_what_was_found_what_was_expected_and_what_to_do() -> None:
    assert DEFAULTS["temperature"].sentence(87.25) == (
        "The temperature is 87.25 °C, above 85; see to its cooling and its place."
    )
    assert DEFAULTS["under_voltage"].sentence(True) == (
        "The supply voltage is too low; change the power supply or its cable."
    )


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"temprature": False}, r"\[alarms.temprature\]: .* switch off; did you mean 'temperature'"),
        ({"temperature": True}, "True was found, expected false or a table"),
        ({"temperature": {"abov": 80}}, "unknown key 'abov'; did you mean 'above'"),
        ({"temperature": {"reading": "cpu_mhz"}}, "unknown key 'reading'"),
        ({"temperature": {"above": "80"}}, "above is '80', expected a number"),
        ({"temperature": {"above": True}}, "above is True, expected a number"),
        ({"temperature": {"latched": 1}}, "latched is 1, expected true or false"),
        ({"temperature": {"above": 70}}, "clear is 78, which raises the alarm"),
        ({"temperature": {"below": 1}}, "one of 'above' and 'below'"),
        ({"mine": {"reading": "temperature_c", "clear": 1}}, "one of 'above' and 'below'"),
        ({"mine": {"above": 1, "clear": 0}}, "the key 'reading' is missing"),
        ({"mine": {"reading": "temperatur", "above": 1, "clear": 0}}, "did you mean 'temperature_c'"),
    ],
)
def test_wrong_rules_are_refused_in_one_sentence(table: Dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_rules(table, "device.toml")
