"""How it goes, in one word, and why."""

from __future__ import annotations

from typing import NamedTuple, Optional, Sequence

from edgeai_runtime.monitor.readings import SAID

FAILING_PERCENT = 50.0


class Condition(NamedTuple):
    """`word`: "good"; "degraded", an alarm stands; "failing", nothing serves or half of the last minute's
    requests failed. `reason`: what makes it so; None where it is good."""

    word: str
    reason: Optional[str] = None


def condition(alarms: Sequence[str], error_percent: float, serves: bool = True) -> Condition:
    """The worst that there is to say; `error_percent` of the last minute's requests failed."""
    if not serves:
        return Condition("failing", "nothing serves")
    if error_percent >= FAILING_PERCENT:
        return Condition("failing", SAID["error_percent"].format(error_percent))
    if alarms:
        return Condition("degraded", "an alarm stands" if len(alarms) == 1 else f"{len(alarms)} alarms stand")
    return Condition("good")
