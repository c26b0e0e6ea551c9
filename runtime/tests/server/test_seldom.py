"""What is said once however often it happens."""

from __future__ import annotations

from typing import List

from edgeai_runtime.server.seldom import PERIOD_S, Seldom


def test_the_same_is_said_once_in_a_while_and_how_often_it_was_left_out() -> None:
    now, told = [0.0], []  # type: List[float], List[str]
    seldom = Seldom(told.append, lambda: now[0])
    for _time in range(4):
        seldom.say("lost")
    seldom.say("another")
    assert told == ["lost", "another"]
    now[0] = PERIOD_S
    seldom.say("lost")
    seldom.say("another")
    assert told[2:] == ["lost (3 times more since this was said last)", "another"]


def test_of_sentences_without_end_few_are_remembered() -> None:
    told: List[str] = []
    seldom = Seldom(told.append, lambda: 0.0)
    for number in range(1000):
        seldom.say(str(number))
    assert len(told) == 1000
    assert len(vars(seldom)["_said"]) < 100
