"""How devices are ordered into waves."""

from __future__ import annotations

from itertools import chain
from typing import Dict

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.edgeai.fleet.plugins.filter.waves import waves


def lines(**of: str) -> Dict[str, Dict[str, str]]:
    """hostvars of devices by their line."""
    return {device: {"runtime_line": line} for device, line in of.items()}


def test_the_canary_goes_first_and_alone() -> None:
    fleet = lines(a="1", b="2", c="3")
    assert waves(list(fleet), fleet) == [["a"], ["b", "c"]]


def test_no_wave_takes_more_of_a_line_than_its_budget() -> None:
    fleet = lines(a="1", b="1", c="1", d="2", e="2")
    assert waves(list(fleet), fleet) == [["a"], ["b", "d"], ["c", "e"]]
    assert waves(list(fleet), fleet, line_budget=2) == [["a"], ["b", "c", "d", "e"]]


def test_canaries_respect_the_budget_too() -> None:
    fleet = lines(a="1", b="1", c="2")
    assert waves(list(fleet), fleet, canaries=2) == [["a", "c"], ["b"]]


def test_without_canaries_the_first_wave_is_as_wide_as_any() -> None:
    fleet = lines(a="1", b="2", c="1")
    assert waves(list(fleet), fleet, canaries=0) == [["a", "b"], ["c"]]


def test_a_wave_is_never_wider_than_what_can_be_watched_at_once() -> None:
    fleet = lines(a="1", b="2", c="3", d="4")
    assert waves(list(fleet), fleet, most=2) == [["a"], ["b", "c"], ["d"]]


def test_devices_without_a_line_share_one() -> None:
    fleet: Dict[str, Dict[str, str]] = {"a": {}, "b": {}, "c": {}}
    assert waves(list(fleet), fleet) == [["a"], ["b"], ["c"]]


def test_every_device_is_planned_once_and_in_the_order_of_the_inventory() -> None:
    fleet = {f"d{n}": {"runtime_line": str(n % 7)} for n in range(100)}
    planned = waves(list(fleet), fleet, canaries=3, line_budget=2, most=5)
    assert sorted(chain.from_iterable(planned)) == sorted(fleet)
    for line in range(7):
        order = [device for wave in planned for device in wave if fleet[device]["runtime_line"] == str(line)]
        assert order == [device for device in fleet if fleet[device]["runtime_line"] == str(line)]


def test_an_empty_fleet_has_no_waves() -> None:
    assert waves([], {}) == []


def test_a_budget_nobody_fits_in_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="give at least 1"):
        waves(["a"], {"a": {}}, line_budget=0)
