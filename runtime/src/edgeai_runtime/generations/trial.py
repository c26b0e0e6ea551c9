"""Put a release or an environment on trial."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, Optional, Tuple

from edgeai_runtime.convert.conversion import Conversion
from edgeai_runtime.convert.convert import convert_release
from edgeai_runtime.durable import device_lock
from edgeai_runtime.environments.venv import is_complete
from edgeai_runtime.errors import InputError
from edgeai_runtime.generations.compose import Placed, compose, draft, fill, placed_models
from edgeai_runtime.generations.keeper_client import KeeperClient
from edgeai_runtime.generations.live import live
from edgeai_runtime.generations.manifest import Manifest, ModelEntry, load_manifest
from edgeai_runtime.generations.state import State, read_state
from edgeai_runtime.generations.switching import prove_and_switch
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Release
from edgeai_runtime.settings import Device

Progress = Callable[[str], None]
KEEPER_START_S = 60.0


@dataclass(frozen=True)
class TrialResult:
    """`phase` is what the generation is now: "trial", or "confirmed" when there was nothing to do.

    `generation` is None where a check cannot know it; `verdict` holds the gates measured now.
    """

    generation: Optional[int]
    changed: bool
    phase: str
    verdict: Dict[str, Any] = field(default_factory=lambda: {"gates": [], "models": []})
    switch_ms: Optional[float] = None
    actions: Tuple[str, ...] = ()


def trial(
    paths: Paths,
    device: Device,
    release: Optional[Release] = None,
    environment: Optional[str] = None,
    deadline_s: float = 600.0,
    check: bool = False,
    progress: Progress = lambda sentence: None,
) -> TrialResult:
    """Gate a release, or an environment with every model, and switch to it; the rest stays as confirmed.

    The device takes it back unless it is confirmed within `deadline_s`. Nothing is done when that is
    what is confirmed and serves, or is on trial already.
    Raises InputError, ConvertError, GateFailed (details: the verdict), KeeperError.
    """
    if (release is None) == (environment is None):
        raise InputError("A trial is of one release or of one environment; name one of them.")
    if environment is not None:
        _need_environment(paths, environment)
    else:
        _confirmed_environment(paths, device, read_state(paths))  # before minutes go into a conversion
    conversion = None
    if release:
        conversion = convert_release(paths, device, release, check, progress, live(paths, release.name))
    what = f"{release.name} {release.version}" if release else f"environment {str(environment)[:12]}"
    if check:
        return _predict(paths, device, release, conversion, environment, what)
    if environment is not None:  # the first one of a device, whose keeper provisioning has just started
        KeeperClient(paths).status(absence_s=KEEPER_START_S)
    with device_lock(paths):
        state = read_state(paths)
        before, wanted, models = _plan(paths, device, state, release, conversion, environment)
        done = _done(paths, state, wanted, what)
        if done:
            return _mended(paths, device, done, models, conversion)
        composed = compose(paths, device, wanted, models)
        switched = prove_and_switch(paths, composed, models, before, deadline_s, progress)
    number = composed.manifest.generation
    converted = conversion.actions if conversion else ()
    waited = f"; requests waited {switched.pause_ms / 1000:.1f} s, as memory does not hold two processes"
    pause = waited if switched.pause_ms else ""
    actions = (*converted, f"switched to generation {number} with {what}, on trial{pause}")
    return TrialResult(number, True, "trial", switched.verdict, switched.switch_ms, actions)


def _plan(
    paths: Paths,
    device: Device,
    state: State,
    release: Optional[Release],
    conversion: Optional[Conversion],
    environment: Optional[str],
) -> Tuple[Optional[Manifest], Manifest, Dict[str, Placed]]:
    """What is confirmed, what is wanted instead, and the latter's models."""
    before = load_manifest(paths, state.confirmed) if state.confirmed is not None else None
    models = placed_models(paths, before) if before else {}
    if release and conversion:
        models[release.name] = Placed(_entry(release, conversion), release)
    environment = environment or _confirmed_environment(paths, device, state)
    return before, draft(paths, device, environment, models, state.confirmed), models


def _confirmed_environment(paths: Paths, device: Device, state: State) -> str:
    """The environment a release joins. Raises InputError on a device that has none yet."""
    if state.confirmed is None:
        raise InputError(
            f"{device.name}: this device has no confirmed environment to run a model in; provision it first."
        )
    return load_manifest(paths, state.confirmed).environment


def _done(paths: Paths, state: State, wanted: Manifest, what: str) -> Optional[TrialResult]:
    """The result when nothing is to do; raises InputError while something else is on trial."""
    if state.trial is not None:
        if load_manifest(paths, state.trial).content == wanted.content:
            sentence = f"{what} is on trial already, as generation {state.trial}"
            return TrialResult(state.trial, False, "trial", actions=(sentence,))
        raise InputError(
            f"Generation {state.trial} is on trial on this device; confirm it or let it be taken back before "
            f"{what} is tried."
        )
    if state.confirmed is None or state.current != state.confirmed:
        return None
    if load_manifest(paths, state.confirmed).content != wanted.content:
        return None
    sentence = f"{what} is confirmed already, in generation {state.confirmed}"
    return TrialResult(state.confirmed, False, "confirmed", actions=(sentence,))


def _mended(
    paths: Paths,
    device: Device,
    done: TrialResult,
    models: Dict[str, Placed],
    conversion: Optional[Conversion],
) -> TrialResult:
    """What there is instead of a trial; files that were damaged meanwhile are written again."""
    assert done.generation is not None
    written = fill(paths, device, load_manifest(paths, done.generation), models)
    mended = (f"mended {', '.join(written)} of generation {done.generation}",) if written else ()
    converted = conversion.actions if conversion else ()
    return replace(done, changed=bool(mended or converted), actions=(*converted, *mended, *done.actions))


def _predict(
    paths: Paths,
    device: Device,
    release: Optional[Release],
    conversion: Optional[Conversion],
    environment: Optional[str],
    what: str,
) -> TrialResult:
    state = read_state(paths)
    _before, wanted, _models = _plan(paths, device, state, release, conversion, environment)
    would = f"would gate {what} and switch to it, on trial"
    if conversion and conversion.changed:
        return TrialResult(None, True, "trial", actions=(*conversion.actions, would))
    done = _done(paths, state, wanted, what)
    return done or TrialResult(wanted.generation, True, "trial", actions=(would,))


def _need_environment(paths: Paths, digest: str) -> None:
    if not is_complete(paths.environment(digest)):
        raise InputError(
            f"{paths.environment(digest)}: this environment is not built on this device; run "
            f"'edgeai environment build' for its lock first."
        )


def _entry(release: Release, conversion: Conversion) -> ModelEntry:
    return ModelEntry(
        version=release.version,
        release=release.digest,
        artifact=conversion.artifact,
        fingerprint=conversion.fingerprint,
        engine=conversion.engine,
        recipe=conversion.recipe,
        quality=conversion.quality,
        threads=conversion.threads,
        instead=conversion.instead,
    )
