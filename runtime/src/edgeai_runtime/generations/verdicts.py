"""Keep the generation on trial, and tell whether the device already took it back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Optional, Tuple

from edgeai_runtime.durable import device_lock
from edgeai_runtime.errors import KeeperError, Reverted
from edgeai_runtime.generations.keeper_client import KeeperClient
from edgeai_runtime.paths import Paths


@dataclass(frozen=True)
class ConfirmResult:
    generation: int
    changed: bool
    actions: Tuple[str, ...] = ()


def confirm(
    paths: Paths, actor: str = "edgeai", check: bool = False, generation: Optional[int] = None
) -> ConfirmResult:
    """Keep the generation on trial (`generation`, where given); nothing to do when it is confirmed already.

    Raises Reverted when the device took it back, KeeperError when nothing was ever on trial.
    """
    keeper = KeeperClient(paths)
    with device_lock(paths):
        status = keeper.request({"command": "status"})
        trial = status["trial"]
        if trial is None or generation not in (None, trial["generation"]):
            refuse_reverted(status, generation)
            confirmed = status["confirmed"]
            if confirmed is None or generation not in (None, confirmed):
                wanted = "no generation" if generation is None else f"generation {generation}, which"
                raise KeeperError(f"{wanted} is on trial on this device; run a trial first.")
            return ConfirmResult(confirmed, False, (f"generation {confirmed} is confirmed already",))
        number = int(trial["generation"])
        if check:
            return ConfirmResult(number, True, (f"would confirm generation {number}",))
        keeper.request({"command": "confirm", "generation": number, "actor": actor})
    return ConfirmResult(number, True, (f"confirmed generation {number}",))


def refuse_reverted(status: Mapping[str, Any], generation: Optional[int] = None) -> None:
    """Raise Reverted when a keeper's status says that the trial asked about was taken back.

    That is the latest verdict of all, or with `generation` the latest on that generation.
    """
    verdicts = [entry for entry in status["history"] if generation in (None, entry["generation"])]
    if verdicts and verdicts[-1]["outcome"] != "confirmed" and status["trial"] is None:
        last = verdicts[-1]
        raise reverted(last["generation"], last["reason"], status["confirmed"])


def reverted(generation: int, reason: str, serving: Optional[int]) -> Reverted:
    """The error that says the device took a generation back, with `serving` in its place."""
    now = "nothing serves now" if serving is None else f"generation {serving} serves again"
    return Reverted(
        f"the device took generation {generation} back: {reason}; {now}.",
        generation=generation,
        reason=reason,
    )
