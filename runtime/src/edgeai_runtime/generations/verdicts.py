"""Keep the generation on trial, and tell whether the device already took it back."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, Mapping, Optional, Tuple

from edgeai_runtime.address import parse_address
from edgeai_runtime.durable import device_lock
from edgeai_runtime.errors import BackendError, KeeperError, Reverted
from edgeai_runtime.generations.collect import KEPT, collect
from edgeai_runtime.generations.keeper_client import KeeperClient
from edgeai_runtime.monitor.asking import UnixConnection
from edgeai_runtime.paths import Paths

LIVE_LIMIT_S = 10.0


@dataclass(frozen=True)
class ConfirmResult:
    generation: int
    changed: bool
    actions: Tuple[str, ...] = ()


def confirm(
    paths: Paths,
    check: bool = False,
    generation: Optional[int] = None,
    kept: int = KEPT,
) -> ConfirmResult:
    """Keep the generation on trial (`generation`, where given); nothing to do when it is confirmed already.

    Room is made then: of the generations confirmed before, the last `kept` stay.

    It has to answer where it serves. Raises Reverted when the device took it back, KeeperError when
    nothing was ever on trial, BackendError when it does not answer.
    """
    keeper = KeeperClient(paths)
    with device_lock(paths):
        status = keeper.status()
        trial = status["trial"]
        if trial is None or generation not in (None, trial["generation"]):
            refuse_reverted(status, generation)
            confirmed = status["confirmed"]
            if confirmed is None or generation not in (None, confirmed):
                wanted = "no generation" if generation is None else f"generation {generation}, which"
                raise KeeperError(f"{wanted} is on trial on this device; run a trial first.")
            made_room = [] if check else collect(paths, kept)  # a power cut may have come before
            sentence = f"generation {confirmed} is confirmed already"
            return ConfirmResult(confirmed, bool(made_room), (sentence, *made_room))
        number = int(trial["generation"])
        if check:
            return ConfirmResult(number, True, (f"would confirm generation {number}",))
        _answer_live(paths, str(status["http"]), number)
        keeper.request({"command": "confirm", "generation": number})
        made_room = collect(paths, kept)
    return ConfirmResult(number, True, (f"confirmed generation {number}", *made_room))


def _answer_live(paths: Paths, http: str, generation: int) -> None:
    """See that the device listens at its own address and is ready, as a client would; raises BackendError.

    It is asked by its Unix socket, where neither a token nor a certificate is needed.
    """
    connection = UnixConnection(paths.http)
    try:
        socket.create_connection(parse_address(http), timeout=LIVE_LIMIT_S).close()
        connection.request("GET", "/v2/health/ready")
        status = connection.getresponse().status
        said = None if status == 200 else f"HTTP {status}"
    except (OSError, HTTPException) as error:
        said = str(error) or type(error).__name__
    finally:
        connection.close()
    if said is not None:
        raise BackendError(
            f"generation {generation} is not ready at http://{http} ({said}), so it is not confirmed and the "
            "device takes it back at its deadline; look at the keeper's log."
        )


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
