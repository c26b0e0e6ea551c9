"""Take one model back to a version that was confirmed on this device; the others stay."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from edgeai_runtime.actor import actor
from edgeai_runtime.durable import device_lock
from edgeai_runtime.errors import InputError
from edgeai_runtime.generations.collect import collect
from edgeai_runtime.generations.compose import compose, draft, placed_models
from edgeai_runtime.generations.keeper_client import KeeperClient
from edgeai_runtime.generations.manifest import Manifest, is_whole, load_manifest
from edgeai_runtime.generations.state import State, read_state
from edgeai_runtime.generations.switching import READY_LIMIT_S, prove_and_switch
from edgeai_runtime.paths import Paths
from edgeai_runtime.settings import Device
from edgeai_runtime.trust.revoked import refuse_revoked, why_revoked

# Between switch and confirm lies nothing but the answer to the one and the question for the other.
DEADLINE_S = 120.0


@dataclass(frozen=True)
class RollbackResult:
    """The `generation` and the model's `version` in it; a check cannot know the generation (None)."""

    generation: Optional[int]
    version: str
    changed: bool
    verdict: Dict[str, Any] = field(default_factory=lambda: {"gates": [], "models": []})
    actions: Tuple[str, ...] = ()


def rollback(
    paths: Paths,
    device: Device,
    model: str,
    to_version: Optional[str] = None,
    check: bool = False,
    progress: Callable[[str], None] = lambda sentence: None,
) -> RollbackResult:
    """Serve `model` at `to_version` again, through the gate, and confirm it.

    Without `to_version` it is the last version confirmed here before the present one first was, so that
    asking again goes further back and never forth to a version that was left. A trial under way is
    reverted first, which may be all there is to do. Nothing is done when `to_version` serves already.
    Raises InputError naming the versions confirmed here, GateFailed, KeeperError.
    """
    if check:
        return _predict(paths, model, to_version)
    with device_lock(paths):
        state = read_state(paths)
        before = _confirmed(paths, state, model)
        if state.trial is not None:
            back = _revert(paths, state, before, model, to_version, progress)
            if back:
                return back
            state = read_state(paths)
        source = _source(paths, state, before, model, to_version)
        if source is None:  # a power cut may have come before room was made
            return _unchanged(before, model, collect(paths, device.generations_kept))
        models = {**placed_models(paths, before), model: placed_models(paths, source)[model]}
        wanted = draft(paths, device, before.environment, models, before.generation)
        composed = compose(paths, device, wanted, models)
        switched = prove_and_switch(paths, composed, models, before, DEADLINE_S, progress)
        number = composed.manifest.generation
        KeeperClient(paths).request({"command": "confirm", "generation": number})
        made_room = collect(paths, device.generations_kept)
    old, new = before.models[model].version, source.models[model].version
    sentence = f"rolled {model} back from {old} to {new}, in generation {number}"
    return RollbackResult(number, new, True, switched.verdict, (sentence, *made_room))


def _revert(
    paths: Paths,
    state: State,
    before: Manifest,
    model: str,
    to_version: Optional[str],
    progress: Callable[[str], None],
) -> Optional[RollbackResult]:
    """Take the trial back; the result when that already serves the version asked for."""
    assert state.trial is not None
    tried = load_manifest(paths, state.trial).models.get(model)
    progress(f"taking generation {state.trial} back")
    KeeperClient(paths).request(
        {"command": "revert", "reason": f"rolled back by {actor()}"},
        timeout_s=READY_LIMIT_S + 30.0,
    )
    now = before.models[model].version
    if now == to_version or (to_version is None and tried is not None and now != tried.version):
        sentence = f"took generation {state.trial} back from its trial, {model} {now} serves again"
        return RollbackResult(before.generation, now, True, actions=(sentence,))
    return None


def _confirmed(paths: Paths, state: State, model: str) -> Manifest:
    """The confirmed generation. Raises InputError when it does not serve the model."""
    if state.confirmed is None:
        raise InputError(f"{paths.root}: nothing was ever confirmed on this device, so there is no way back.")
    manifest = load_manifest(paths, state.confirmed)
    if model not in manifest.models:
        served = ", ".join(sorted(manifest.models)) or "none"
        raise InputError(f"{model} is not served on this device; the models served are: {served}.")
    return manifest


def _source(
    paths: Paths, state: State, before: Manifest, model: str, to_version: Optional[str]
) -> Optional[Manifest]:
    """The latest confirmed generation with the version to go back to; None when it serves already."""
    present = before.models[model].version
    if to_version == present:
        return None
    known = _confirmed_with(paths, state, model)
    versions = [manifest.models[model].version for manifest in known]
    if to_version is None:
        first = versions.index(present)
        if first == 0:
            raise InputError(
                f"{model} {present} is the first version confirmed on this device, "
                "there is none to go back to."
            )
        to_version = versions[first - 1]
    if to_version not in versions:
        were = ", ".join(dict.fromkeys(versions))
        raise InputError(f"{model} {to_version} was never confirmed on this device; confirmed were: {were}.")
    refuse_revoked(model, to_version, why_revoked(paths, model, to_version))
    return next(manifest for manifest in reversed(known) if manifest.models[model].version == to_version)


def _confirmed_with(paths: Paths, state: State, model: str) -> List[Manifest]:
    """The confirmed generations that are still here and hold the model, oldest first."""
    numbers = state.confirmed_before()
    there = [number for number in numbers if is_whole(paths.generation(number))]
    manifests = [load_manifest(paths, number) for number in there]
    return [manifest for manifest in manifests if model in manifest.models]


def _unchanged(before: Manifest, model: str, made_room: Sequence[str] = ()) -> RollbackResult:
    version = before.models[model].version
    sentence = f"{model} {version} is confirmed already, in generation {before.generation}"
    return RollbackResult(before.generation, version, bool(made_room), actions=(sentence, *made_room))


def _predict(paths: Paths, model: str, to_version: Optional[str]) -> RollbackResult:
    state = read_state(paths)
    before = _confirmed(paths, state, model)
    if state.trial is not None:
        version = to_version or before.models[model].version
        sentence = f"would take generation {state.trial} back from its trial and serve {model} {version}"
        return RollbackResult(None, version, True, actions=(sentence,))
    source = _source(paths, state, before, model, to_version)
    if source is None:
        return _unchanged(before, model)
    version = source.models[model].version
    return RollbackResult(None, version, True, actions=(f"would roll {model} back to {version}",))
