"""Convert a release for this device, once: the parent's side, free of any ML library."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Callable, Dict, Optional, Tuple

from edgeai_runtime.backends.execution import ONNXRUNTIME
from edgeai_runtime.convert import conversion, fingerprint
from edgeai_runtime.convert.burden import Burden
from edgeai_runtime.convert.choice import best, demanded
from edgeai_runtime.convert.conversion import Conversion
from edgeai_runtime.convert.plan import Chances, recipe_name
from edgeai_runtime.convert.processor import saturates
from edgeai_runtime.convert.search import RACERS, Live, Search
from edgeai_runtime.convert.shared import Shared, share
from edgeai_runtime.convert.taking import offered, take
from edgeai_runtime.convert.wanted import Wanted
from edgeai_runtime.convert.workplace import workplace
from edgeai_runtime.durable import append_journal, device_lock, fsync_directory
from edgeai_runtime.errors import ConvertError, InputError
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Release, file_sha256
from edgeai_runtime.release.recipe import AUTO
from edgeai_runtime.release.tensors import LARGEST_MODEL
from edgeai_runtime.settings import Device
from edgeai_runtime.trust.space import CONVERSION_COPIES, need_space
from edgeai_runtime.trust.store import blob_path, is_intact

Progress = Callable[[str], None]


def convert_release(
    paths: Paths,
    device: Device,
    release: Release,
    check: bool,
    progress: Progress,
    live: Optional[Live] = None,
) -> Conversion:
    """The release's model converted by the recipe of this device's class, and measured here, beside what is
    `live` where the recipe searches.

    What was converted before under the same fingerprint is answered at once, with `changed` False. What
    another device of that fingerprint converted is taken from the depot, where the device's settings allow
    it and what is measured here passes.
    With `check` nothing is done, and what is not known yet is empty.
    Raises InputError without a recipe for the class, ConvertError when a model cannot be converted,
    StorageError.
    """
    wanted = Wanted.of(paths, device, release)
    kept = _kept(wanted)
    if kept:
        return kept
    last = conversion.last_inputs(paths, release.name)
    differs = fingerprint.differences(last, wanted.inputs) if last else {}
    if check:
        return _predicted(wanted, last is None, differs, progress)
    with device_lock(paths):
        kept = _kept(wanted)  # by whoever held the lock
        if kept:
            return kept
        made = take(wanted, progress)
        if made is None:
            progress(f"converting {wanted.what} on {device.name}")
            made = _convert(wanted, progress, live)
        conversion.save(paths, made, release.name, wanted.inputs)
        append_journal(
            paths,
            "converted",
            release=release.name,
            version=release.version,
            fingerprint=made.fingerprint,
            artifact=made.artifact,
            recipe=made.recipe,
            quality=made.quality,
            p50_ms=made.p50_ms,
            size=made.size,
        )
    return replace(made, differs=differs)


def share_conversion(paths: Paths, device: Device, release: Release) -> Shared:
    """What this device made of a release, for others of its fingerprint. Raises InputError where it has not
    converted it, as it is now."""
    wanted = Wanted.of(paths, device, release)
    made = _kept(wanted)
    if made is None:
        raise InputError(
            f"{wanted.name} is not converted on this device as it is now; convert it first with "
            f"`edgeai convert {wanted.name}`."
        )
    return share(paths, device, release.name, made, wanted.inputs)


def _kept(wanted: Wanted) -> Optional[Conversion]:
    kept = conversion.load(wanted.paths, wanted.fingerprint)
    if kept is None:
        return None
    whole = is_intact(wanted.paths, kept.artifact, kept.size)
    return kept if whole and (not kept.instead or blob_path(wanted.paths, kept.instead).is_file()) else None


def _predicted(
    wanted: Wanted, never: bool, differs: Dict[str, Tuple[str, str]], progress: Progress
) -> Conversion:
    offer = offered(wanted, keep=False, progress=progress)
    would = f"convert {wanted.what}"
    if offer:
        would = f"take {wanted.what} from the depot, where {offer.made_by} made it"
    why = f"since {', '.join(differs)} differ" if differs else "since its result is gone"
    return Conversion(
        fingerprint=wanted.fingerprint,
        artifact="",
        engine=wanted.recipe.engine,
        instead="",
        recipe=recipe_name(wanted.recipe),
        quality=None,
        p50_ms=None,
        p99_ms=None,
        size=0,
        table=(),
        threads=wanted.execution.threads,
        changed=True,
        actions=(f"would {would}, {'which it never was here' if never else why}",),
        differs=differs,
    )


def _convert(wanted: Wanted, progress: Progress, live: Optional[Live]) -> Conversion:
    begun = time.monotonic()
    paths, release, recipe = wanted.paths, wanted.release, wanted.recipe
    if release.model_size > LARGEST_MODEL:
        raise ConvertError(
            f"{wanted.name}: the model has {release.model_size / 1e9:.1f} GB, and one of more than 2 GB "
            "cannot be converted; export a smaller one, or its weights as fp16."
        )
    wanted.need_blobs()
    copies = CONVERSION_COPIES + (RACERS + 1 if recipe.strategy == AUTO else 0)
    _need_space(wanted, copies)
    try:
        with workplace(paths, wanted.fingerprint) as work:
            search = Search(wanted.job(work), recipe, progress, Burden(paths.http), begun)
            if recipe.strategy == AUTO:
                needed = release.gates[release.quality]
                chances = Chances(
                    calibrated=bool(release.sets.calibration),
                    saturates=saturates(wanted.inputs["cpu"]["flags"]),
                    accelerated=wanted.execution.providers[0] != "cpu",
                    tensorrt=find_spec("tensorrt") is not None,
                )
                same_source = live is not None and live.release.model == release.model
                stays = live.way if live is not None and same_source else ""
                rows = search.climbed(needed, chances, live, stays)
                chosen, table = best(rows, search.racers, recipe, release.quality, needed, stays)
            else:
                chosen, table = demanded(search.demanded(), recipe_name(recipe))
            engine = search.recipe_of(chosen).engine
            artifact = _into_store(paths, search.model(chosen))
            instead = "" if engine == ONNXRUNTIME else _into_store(paths, search.stand_in())
    except ConvertError:  # onnxruntime cuts a file short on a full disk and says nothing
        _need_space(wanted, copies + 1)
        raise
    return Conversion(
        fingerprint=wanted.fingerprint,
        artifact=artifact,
        engine=engine,
        instead=instead,
        recipe=chosen.candidate,
        quality=chosen.quality,
        p50_ms=chosen.p50_ms,
        p99_ms=chosen.p99_ms,
        size=chosen.size,
        table=table,
        threads=chosen.threads,
        changed=True,
        actions=(f"converted {wanted.what}: {chosen.why}",),
    )


def _need_space(wanted: Wanted, copies: int) -> None:
    need_space(wanted.paths.conversions, wanted.name, {"to convert it": copies * wanted.release.model_size})


def _into_store(paths: Paths, file: Path) -> str:
    """Move a file into the store under its digest, durably; returns the digest."""
    sha256 = file_sha256(file)
    target = blob_path(paths, sha256)
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "rb") as content:
        os.fchmod(content.fileno(), 0o644)
        os.fsync(content.fileno())
    file.replace(target)
    fsync_directory(target.parent)
    return sha256
