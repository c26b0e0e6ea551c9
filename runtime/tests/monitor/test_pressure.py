from __future__ import annotations

import pytest
from clock import Clock

from edgeai_runtime.monitor.pressure import Pressure


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pressure(clock: Clock) -> Pressure:
    return Pressure(clock)


def test_a_cool_machine_uses_all_its_limits(pressure: Pressure) -> None:
    assert pressure.update(40.0, False) == 1.0


def test_one_that_tells_nothing_is_not_held_back(pressure: Pressure) -> None:
    assert [pressure.update(None, None) for _turn in range(5)] == [1.0] * 5


def test_it_backs_off_before_the_machine_slows_down(pressure: Pressure) -> None:
    assert [pressure.update(4.9, False) for _turn in range(5)] == [0.75, 0.5, 0.25, 0.25, 0.25]


def test_it_backs_off_where_only_the_slowing_down_is_told(pressure: Pressure) -> None:
    assert pressure.update(None, True) == 0.75


def test_between_near_and_far_it_stays_as_it_is(pressure: Pressure, clock: Clock) -> None:
    pressure.update(4.0, False)
    for _turn in range(100):
        clock.now += 5
        assert pressure.update(7.0, False) == 0.75


def test_what_was_taken_comes_back_step_by_step_while_it_stays_calm(pressure: Pressure, clock: Clock) -> None:
    for _turn in range(2):
        pressure.update(4.0, False)
    levels = []
    for _turn in range(15):
        clock.now += 5
        levels.append(pressure.update(12.0, False))
    assert levels == [0.5] * 5 + [0.75] * 6 + [1.0] * 4


def test_heat_that_comes_back_begins_the_waiting_anew(pressure: Pressure, clock: Clock) -> None:
    pressure.update(4.0, False)
    clock.now += 29
    assert pressure.update(12.0, False) == 0.75
    assert pressure.update(9.0, False) == 0.75
    clock.now += 29
    assert pressure.update(12.0, False) == 0.75
