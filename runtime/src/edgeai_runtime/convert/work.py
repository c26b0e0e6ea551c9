"""What the converting process does: prepare the source once, then make and measure each candidate."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Iterator, List, Mapping

from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.convert.candidates import Candidate
from edgeai_runtime.convert.conversion import Row
from edgeai_runtime.convert.measure import measure
from edgeai_runtime.convert.optimize import optimize
from edgeai_runtime.convert.prepare import finish, prepare
from edgeai_runtime.convert.prune import prune
from edgeai_runtime.convert.quantize import ImageReader, quantize_dynamic, quantize_static
from edgeai_runtime.errors import BackendError, ConvertError
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Release
from edgeai_runtime.serving import pipeline
from edgeai_runtime.serving.text import read_labels
from edgeai_runtime.trust.store import blob_path, blobs_directory

Progress = Callable[[str], None]


def convert_all(job: Mapping[str, Any], progress: Progress) -> Iterator[Row]:
    """Each candidate's row, as soon as it was measured; its model lies in the job's work/<index>.onnx.

    Raises ConvertError.
    """
    paths = Paths(Path(job["root"]))
    work = Path(job["work"])
    release = Release.from_json(job["release"].encode(), "the conversion's job")
    plan = [Candidate.from_json(data) for data in job["candidates"]]
    name = f"{release.name} {release.version}"
    labels = read_labels(blob_path(paths, release.labels.sha256)) if release.labels else None
    execution = Execution(job["threads"], tuple(job["providers"]))
    images = [(blob_path(paths, s.sha256), s.expect) for s in release.sets.selection if s.expect is not None]
    source = blob_path(paths, release.model.sha256)
    prepared = work / "prepared.onnx"

    progress(f"preparing the model of {name}")
    quantizes = any(candidate.recipe.quantize != "none" for candidate in plan)
    prepare(source, blobs_directory(paths), prepared, name, for_quantization=quantizes)
    for index, candidate in enumerate(plan):
        made = work / f"{index}.onnx"
        progress(f"converting {name} to {candidate.name}")
        if candidate.used:
            _make(candidate, prepared, made, release, paths, job["cpu_flags"])
            finish(made, source)
        else:
            made = prepared
        progress(f"measuring {candidate.name} on {len(images)} selection images")
        try:
            found = measure(made, release, candidate.recipe.engine, execution, labels, images)
        except BackendError as error:
            raise ConvertError(
                f"{name}: {candidate.name} does not run on this device: {error.message}",
            ) from error
        yield Row(
            candidate=candidate.name,
            quality=found.quality,
            p50_ms=found.p50_ms,
            p99_ms=found.p99_ms,
            samples=found.samples,
            size=made.stat().st_size,
            verdict="measured",
            why="",
        )


def _make(
    candidate: Candidate, prepared: Path, made: Path, release: Release, paths: Paths, cpu_flags: List[str]
) -> None:
    recipe, name = candidate.recipe, f"{release.name} {release.version}"
    start = prepared
    if recipe.prune:
        start = made.with_name("pruned.onnx")
        start.write_bytes(prepared.read_bytes())
        prune(start, recipe.prune, name)
    if recipe.quantize == "none":
        optimize(start, made)
    elif recipe.quantize == "dynamic":
        quantize_dynamic(start, made, recipe, cpu_flags, name)
    else:
        reader = _calibration(release, paths, prepared)
        quantize_static(start, made, recipe, reader, cpu_flags, name)


def _calibration(release: Release, paths: Paths, prepared: Path) -> ImageReader:
    import onnx

    graph = onnx.load(str(prepared), load_external_data=False).graph
    constants = {tensor.name for tensor in graph.initializer}
    (input_name,) = [value.name for value in graph.input if value.name not in constants]
    images = [blob_path(paths, sample.sha256) for sample in release.sets.calibration]
    return ImageReader(images, lambda data: {input_name: pipeline.prepare(release.pipeline, data).tensor})
