"""Raises and clears alarms: from readings by rules, and from what the code itself tells."""

from __future__ import annotations

import time
from typing import Callable, Dict, Mapping, Sequence

from edgeai_keeper.basics import timestamp

from edgeai_runtime.monitor.alarm_book import AlarmBook, Events, Standing, entry
from edgeai_runtime.monitor.readings import Readings
from edgeai_runtime.monitor.rules import Rules

CLEAR_HOLD_S = 60.0  # a cause that comes and goes is one alarm, and one write to the SD card


class Alarms:
    """Belongs to one thread. A reading that is None says nothing: what stands stays, nothing is raised."""

    def __init__(self, rules: Rules, book: AlarmBook, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds."""
        self.book = book
        self._rules = rules
        self._clock = clock
        self._bad_since: Dict[str, float] = {}
        self._good_since: Dict[str, float] = {}

    def evaluate(self, readings: Readings, told: Mapping[str, str]) -> None:
        """Look once. `told`: alarms without a rule that stand as long as they are told, name to sentence."""
        self.book.refresh()
        now = self._clock()
        raised = dict(told)
        cleared = [name for name in self.book.standing if name not in told and name not in self._rules]
        for name, rule in self._rules.items():
            value = readings.get(rule.reading)
            if value is None or isinstance(value, str):
                continue
            if self._held(self._bad_since, name, rule.raises(value), rule.hold_s, now):
                raised[name] = rule.sentence(value)
            if self._held(self._good_since, name, rule.clears(value), CLEAR_HOLD_S, now):
                cleared.append(name)
        standing = self.book.standing
        news = {
            name: sentence
            for name, sentence in raised.items()
            if name not in standing or not standing[name]["active"]
        }
        over = [name for name in cleared if name in standing and standing[name]["active"]]
        if news or over:
            self.book.change(lambda standing: self._change(standing, news, over))

    def _held(self, since: Dict[str, float], name: str, is_so: bool, hold_s: float, now: float) -> bool:
        """Whether it has been so for `hold_s` seconds."""
        if not is_so:
            since.pop(name, None)
            return False
        return now - since.setdefault(name, now) >= hold_s

    def _change(self, standing: Standing, news: Mapping[str, str], over: Sequence[str]) -> Events:
        events = []
        for name, sentence in news.items():
            if name in standing:  # latched, and nobody looked since: no news to a person
                standing[name]["active"] = True
            else:
                standing[name] = entry(sentence)
                events.append({"alarm": name, "event": "raised", "sentence": sentence})
        for name in over:
            known = standing.get(name)
            if known is None:  # acknowledged by another process just now
                continue
            rule = self._rules.get(name)
            stays = rule is not None and rule.latched and not known["acknowledged"]
            if not (stays and known["cleared"]):
                events.append({"alarm": name, "event": "cleared", "sentence": known["sentence"]})
            if stays:
                known.update(active=False, cleared=known["cleared"] or timestamp())
            else:
                del standing[name]
        return events
