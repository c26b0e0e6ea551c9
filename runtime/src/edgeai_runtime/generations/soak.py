"""Watch a trial: how it answers real requests, and whether the device takes it back."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Callable, Optional, Tuple

from edgeai_runtime.generations.keeper_client import KeeperClient
from edgeai_runtime.generations.verdicts import refuse_reverted
from edgeai_runtime.paths import Paths

POLL_S = 0.25
# A keeper that is restarted is back by then, and the trial goes on.
KEEPER_ABSENCE_S = 15.0
_TOLD_EVERY_S = 10.0


@dataclass(frozen=True)
class SoakResult:
    """`requests` and `errors` of the trial until now."""

    generation: Optional[int]
    requests: int
    errors: int
    changed: bool = False
    actions: Tuple[str, ...] = ()


def soak(
    paths: Paths, seconds: float, progress: Callable[[str], None], generation: Optional[int] = None
) -> SoakResult:
    """Watch the generation on trial for so many seconds; ends at once when it is confirmed meanwhile.

    Raises Reverted as soon as the device took it back, KeeperError when the keeper is gone for good.
    """
    begun = time.monotonic()
    keeper = KeeperClient(paths)
    status = keeper.status()
    trial = status["trial"]
    if trial is None:
        refuse_reverted(status, generation)
        confirmed = status["confirmed"]
        sentence = f"nothing is on trial, generation {confirmed} is confirmed"
        return SoakResult(confirmed, 0, 0, actions=(sentence,))
    number = trial["generation"]
    told = begun
    while time.monotonic() - begun < seconds:
        time.sleep(min(POLL_S, seconds))
        status = keeper.status(absence_s=KEEPER_ABSENCE_S)
        if status["trial"] is None or status["trial"]["generation"] != number:
            refuse_reverted(status, number)
            break
        trial = status["trial"]
        if time.monotonic() - told >= _TOLD_EVERY_S:
            told = time.monotonic()
            progress(f"generation {number}: {trial['requests']} requests, {trial['errors']} errors")
    sentence = f"generation {number} answered {trial['requests']} requests with {trial['errors']} errors"
    return SoakResult(number, trial["requests"], trial["errors"], actions=(sentence,))
