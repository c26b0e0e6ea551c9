"""Convert a release for this device, once: the parent's side, free of any ML library."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, Optional, Tuple

from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.convert import conversion, fingerprint
from edgeai_runtime.convert.candidates import Candidate, candidates, choose, recipe_name
from edgeai_runtime.convert.child import run_child
from edgeai_runtime.convert.conversion import Conversion
from edgeai_runtime.durable import append_journal, device_lock, fsync_directory, writing
from edgeai_runtime.errors import ConvertError
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Recipe, Release, file_sha256
from edgeai_runtime.settings import Device
from edgeai_runtime.trust.space import CONVERSION_COPIES, need_space
from edgeai_runtime.trust.store import blob_path, is_intact

Progress = Callable[[str], None]
_WORK = ".work-"


def convert_release(
    paths: Paths, device: Device, release: Release, check: bool, progress: Progress
) -> Conversion:
    """The release's model converted by the recipe of this device's class, and measured here.

    What was converted before under the same fingerprint is answered at once, with `changed` False.
    With `check` nothing is done, and what is not known yet is empty.
    Raises InputError without a recipe for the class, ConvertError when a model cannot be converted,
    StorageError.
    """
    recipe = release.recipe_for(device.device_class)
    execution = serving_execution(recipe, device)
    inputs = fingerprint.inputs(release, recipe, execution)
    digest = fingerprint.digest(inputs)
    kept = _kept(paths, digest)
    if kept:
        return kept
    what = f"{release.name} {release.version} to {recipe_name(recipe)}"
    if check:
        return Conversion(
            digest,
            "",
            recipe.engine,
            recipe_name(recipe),
            None,
            None,
            None,
            0,
            (),
            True,
            (f"would convert {what}",),
        )
    with device_lock(paths):
        kept = _kept(paths, digest)  # by whoever held the lock
        if kept:
            return kept
        progress(f"converting {what} on {device.name}")
        made = _convert(paths, release, recipe, execution, digest, inputs, progress)
        conversion.save(paths, made, inputs)
        append_journal(
            paths,
            "converted",
            release=release.name,
            version=release.version,
            fingerprint=digest,
            artifact=made.artifact,
            recipe=made.recipe,
            quality=made.quality,
            p50_ms=made.p50_ms,
            size=made.size,
        )
    return replace(made, actions=(f"converted {what}: {made.table[-1].why}",))


def serving_execution(recipe: Recipe, device: Device) -> Execution:
    """On as many threads as the recipe asks for, within what the device allows one model."""
    return Execution(min(recipe.threads, device.threads), device.providers)


def _kept(paths: Paths, digest: str) -> Optional[Conversion]:
    kept = conversion.load(paths, digest)
    if kept is None:
        return None
    return kept if is_intact(paths, kept.artifact, kept.size) else None


def _convert(
    paths: Paths,
    release: Release,
    recipe: Recipe,
    execution: Execution,
    digest: str,
    inputs: Dict[str, Any],
    progress: Progress,
) -> Conversion:
    _need_blobs(paths, release)
    plan = candidates(recipe)
    demanded = next(candidate for candidate in plan if candidate.used)
    _need_space(paths, release, CONVERSION_COPIES)
    try:
        with writing(paths.conversions), _work_directory(paths) as work_name:
            work = Path(work_name)
            rows = run_child(_job(paths, release, plan, execution, inputs, work), str(work), progress)
            chosen, table = choose(rows, demanded.name)
            artifact = _into_store(paths, work / f"{plan.index(demanded)}.onnx")
    except ConvertError:  # onnxruntime cuts a file short on a full disk and says nothing
        _need_space(paths, release, CONVERSION_COPIES + 1)
        raise
    return Conversion(
        fingerprint=digest,
        artifact=artifact,
        engine=recipe.engine,
        recipe=demanded.name,
        quality=chosen.quality,
        p50_ms=chosen.p50_ms,
        p99_ms=chosen.p99_ms,
        size=chosen.size,
        table=table,
        changed=True,
    )


def _need_blobs(paths: Paths, release: Release) -> None:
    for blob in release.blobs:
        if not is_intact(paths, blob.sha256, blob.size):
            found = "damaged" if blob_path(paths, blob.sha256).exists() else "not"
            raise ConvertError(
                f"{release.name} {release.version}: the file {blob.sha256[:12]}… is {found} in this device's "
                "store; fetch the release first."
            )


def _need_space(paths: Paths, release: Release, copies: int) -> None:
    needs = {"to convert it": copies * release.model_size}
    need_space(paths.conversions, f"{release.name} {release.version}", needs)


def _job(
    paths: Paths,
    release: Release,
    plan: Tuple[Candidate, ...],
    execution: Execution,
    inputs: Dict[str, Any],
    work: Path,
) -> bytes:
    job = {
        "root": str(paths.root),
        "release": release.to_json().decode(),
        "candidates": [candidate.to_json() for candidate in plan],
        "threads": execution.threads,
        "providers": execution.providers,
        "cpu_flags": inputs["cpu"]["flags"],
        "work": str(work),
    }
    return json.dumps(job).encode()


def _work_directory(paths: Paths) -> tempfile.TemporaryDirectory[str]:
    """A directory on the store's file system; what a power cut left of an earlier one goes first."""
    paths.conversions.mkdir(parents=True, exist_ok=True)
    for left in paths.conversions.glob(f"{_WORK}*"):
        shutil.rmtree(left)
    return tempfile.TemporaryDirectory(prefix=_WORK, dir=str(paths.conversions))


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
