"""When a reading is an alarm: the rules that come with the runtime, changed by the settings."""

from __future__ import annotations

from typing import Any, Dict, Mapping, NamedTuple, Optional, Tuple

from edgeai_runtime.errors import InputError
from edgeai_runtime.monitor.readings import SAID
from edgeai_runtime.strict import check_keys, hint


class Rule(NamedTuple):
    """An alarm is raised once `reading` has been above `above` (or below `below`) for `hold_s` seconds, and
    cleared once it has been back at `clear` or better for a minute. Flags are 0 and 1.

    A `latched` one stays until a person has acknowledged it. `advice`: what that person should do.
    """

    reading: str
    clear: float
    above: Optional[float] = None
    below: Optional[float] = None
    hold_s: float = 0.0
    latched: bool = False
    advice: str = "look at the device"

    def raises(self, value: float) -> bool:
        return (self.above is not None and value > self.above) or (
            self.below is not None and value < self.below
        )

    def clears(self, value: float) -> bool:
        return value <= self.clear if self.above is not None else value >= self.clear

    def sentence(self, value: float) -> str:
        """What the alarm says when `value` raises it."""
        said = SAID[self.reading]
        if "{" not in said:
            return f"{said}; {self.advice}."
        limit = f"above {self.above:g}" if self.above is not None else f"below {self.below:g}"
        return f"{said.format(value)}, {limit}; {self.advice}."


Rules = Mapping[str, Rule]

DEFAULTS: Rules = {
    "temperature": Rule(
        "temperature_c", above=85, clear=78, hold_s=30, advice="see to its cooling and its place"
    ),
    "throttled": Rule(
        "throttled", above=0, clear=0, hold_s=10, advice="see to its cooling and its power supply"
    ),
    "pressure": Rule(
        "pressure", below=1, clear=1, hold_s=60, advice="it answers slower than it could; see to its cooling"
    ),
    "under_voltage": Rule(
        "under_voltage", above=0, clear=0, latched=True, advice="change the power supply or its cable"
    ),
    "disk": Rule("disk_free_mb", below=512, clear=640, hold_s=60, advice="make room on it"),
    "memory": Rule(
        "memory_available_percent", below=8, clear=12, hold_s=30, advice="see what else runs on the device"
    ),
    "wear": Rule("wear_percent", above=80, clear=80, advice="order another one and plan to change it"),
    "reserve": Rule(
        "reserve_used_percent", above=79, clear=79, advice="save what is on it and change it soon"
    ),
    "errors": Rule("error_percent", above=5, clear=1, hold_s=30, advice="look at the recent errors"),
}

_KEYS = [key for key in Rule._fields if key != "reading"]


def read_rules(table: Mapping[str, Any], origin: str) -> Dict[str, Rule]:
    """The rules in force: DEFAULTS, changed and added to by the table [alarms] of the settings.

    `NAME = false` switches one off; a table changes the keys it has, or makes a new rule.
    `origin` says where it was read. Raises InputError.
    """
    rules = dict(DEFAULTS)
    for name, entry in table.items():
        where = f"{origin}, [alarms.{name}]"
        if entry is False:
            if name not in rules:
                raise InputError(f"{where}: there is no such alarm to switch off; {hint(name, rules)}")
            del rules[name]
        elif isinstance(entry, Mapping):
            rules[name] = _rule(entry, rules.get(name), where)
        else:
            raise InputError(f"{where}: {entry!r} was found, expected false or a table of its own.")
    return rules


def _rule(entry: Mapping[str, Any], known: Optional[Rule], where: str) -> Rule:
    if known is None:
        check_keys(entry, ["reading", "clear"], [key for key in _KEYS if key != "clear"], origin=where)
    else:
        check_keys(entry, [], _KEYS, origin=where)
    for key, value in entry.items():
        kind, expected = _kind(key)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise InputError(f"{where}: {key} is {value!r}, expected {expected}.")
    if known is None and entry["reading"] not in SAID:
        raise InputError(
            f"{where}: the reading '{entry['reading']}' is unknown; {hint(entry['reading'], SAID)}"
        )
    rule = known._replace(**entry) if known else Rule(**entry)
    if (rule.above is None) == (rule.below is None):
        raise InputError(f"{where}: expected is one of 'above' and 'below'; give what the alarm begins at.")
    if rule.raises(rule.clear):
        raise InputError(
            f"{where}: clear is {rule.clear:g}, which raises the alarm; move it to the good side."
        )
    return rule


def _kind(key: str) -> Tuple[Any, str]:
    if key in ("reading", "advice"):
        return str, "a text"
    return (bool, "true or false") if key == "latched" else ((int, float), "a number")
