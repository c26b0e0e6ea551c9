"""Fetch what is newer, and put it through what every update goes through: gates, trial, confirmation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Tuple

from edgeai_runtime.environments import build_from_depot
from edgeai_runtime.errors import BackendError, ConvertError, EdgeAIError, GateFailed, Reverted
from edgeai_runtime.generations.manifest import load_manifest
from edgeai_runtime.generations.soak import soak
from edgeai_runtime.generations.state import read_state
from edgeai_runtime.generations.trial import trial
from edgeai_runtime.generations.verdicts import confirm
from edgeai_runtime.paths import Paths
from edgeai_runtime.settings import Device
from edgeai_runtime.trust import fetch_release, load_release
from edgeai_runtime.trust.depots import Depots
from edgeai_runtime.updates.offers import Offer, Offers, check_updates

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Applied:
    """`updates` are {"name", "offered", "verdict"}, a verdict `confirmed`, `held` or `failed`; as foreseen
    `predicted` in a check."""

    changed: bool
    updates: Tuple[Dict[str, Any], ...]
    actions: Tuple[str, ...]


def fetch_updates(paths: Paths, device: Device, check: bool, progress: Progress) -> Offers:
    """Bring what is newer: releases into the store, a newer environment built beside the one in use.

    Raises what `check_updates`, `fetch_release` and `build_from_depot` raise.
    """
    offers = check_updates(paths, device, keep=not check)
    actions: List[str] = []
    for offer in offers.updates:
        if not offer.held:
            actions += _fetch(paths, device, offer, check, progress)
    said = tuple(actions) or ("all that is newer is here",)
    return Offers(offers.updates, offers.depot, offers.expires, bool(actions), said)


def apply_updates(
    paths: Paths,
    device: Device,
    soak_s: float,
    deadline_s: float,
    check: bool,
    progress: Progress,
) -> Applied:
    """Fetch, convert, gate, try, watch for `soak_s` and confirm what is newer, one after the other.

    What fails or is taken back leaves the device as it was, and the others are applied all the same;
    the first failure is raised at the end, with all verdicts in its details.
    """
    offers = check_updates(paths, device, keep=not check)
    updates: List[Dict[str, Any]] = []
    actions: List[str] = []
    failures: List[EdgeAIError] = []
    for offer in offers.updates:
        verdict = "held"
        if offer.held:
            actions.append(f"{offer.what} is not tried again by itself: {offer.held}")
        else:
            try:
                actions += _fetch(paths, device, offer, check, progress)
                actions += _apply(paths, device, offer, soak_s, deadline_s, check, progress)
                verdict = "predicted" if check else "confirmed"
            except (BackendError, ConvertError, GateFailed, Reverted) as failure:
                verdict = "failed"
                failures.append(failure)
        updates.append({"name": offer.name, "offered": offer.offered, "verdict": verdict})
    if failures:
        failures[0].details["updates"] = updates
        raise failures[0]
    changed = any(update["verdict"] != "held" for update in updates)
    return Applied(changed, tuple(updates), tuple(actions) or ("nothing is newer",))


def _fetch(paths: Paths, device: Device, offer: Offer, check: bool, progress: Progress) -> List[str]:
    if offer.kind == "release":
        return fetch_release(paths, device, offer.name, offer.offered, check, progress).actions
    return build_from_depot(paths, offer.digest, Depots.of(device), _python(paths), check, progress).actions


def _python(paths: Paths) -> str:
    """The interpreter that the environment in use was made with."""
    confirmed = read_state(paths).confirmed
    assert confirmed is not None  # or nothing would have been offered
    environment = paths.environment(load_manifest(paths, confirmed).environment)
    return str((environment / "bin" / "python").resolve())


def _apply(
    paths: Paths,
    device: Device,
    offer: Offer,
    soak_s: float,
    deadline_s: float,
    check: bool,
    progress: Progress,
) -> List[str]:
    if check:
        return [f"would convert, gate, try and confirm {offer.what}"]
    release = load_release(paths, offer.name, offer.offered) if offer.kind == "release" else None
    tried = trial(
        paths,
        device,
        release=release,
        environment=None if release else offer.digest,
        deadline_s=deadline_s,
        progress=progress,
    )
    watched = soak(paths, soak_s, progress, tried.generation)
    confirmed = confirm(paths, generation=tried.generation, kept=device.generations_kept)
    return [*tried.actions, *watched.actions, *confirmed.actions]
