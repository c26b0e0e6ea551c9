"""What the converting process does: prepare the source once, then make and measure each candidate."""

from __future__ import annotations

import time
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple

from edgeai_runtime.backends.execution import TENSORRT, Execution
from edgeai_runtime.convert.conversion import LIVE, MEASURED, Row, not_tried
from edgeai_runtime.convert.halve import halve
from edgeai_runtime.convert.kept import PREPARED, model_file
from edgeai_runtime.convert.measure import (
    Subject,
    expecting,
    labels_of,
    measure,
    race,
    spread,
    threads_that_pay,
)
from edgeai_runtime.convert.optimize import optimize
from edgeai_runtime.convert.plan import Candidate
from edgeai_runtime.convert.prepare import finish, prepare
from edgeai_runtime.convert.prune import prune
from edgeai_runtime.convert.quantize import quantize_dynamic, quantize_static
from edgeai_runtime.convert.samples import Samples
from edgeai_runtime.convert.tensorrt.options import INT8, EngineOptions
from edgeai_runtime.convert.tensorrt.profiles import shapes_in
from edgeai_runtime.errors import BackendError, ConvertError
from edgeai_runtime.paths import Paths
from edgeai_runtime.protocol import requests
from edgeai_runtime.release import Release, file_sha256
from edgeai_runtime.release.recipe import FP16, STATIC, Recipe
from edgeai_runtime.serving import pipeline
from edgeai_runtime.trust.store import blob_path, blobs_directory

Progress = Callable[[str], None]


def convert_all(job: Mapping[str, Any], progress: Progress) -> Iterator[Row]:
    """Each candidate's row from `job["from"]` on, as soon as it was measured; its model lies in the job's
    work/<index>.onnx.

    Where it `searches`, one that cannot be made or does not run has a row that says so. Raises ConvertError.
    """
    work = _Work(job)
    if not work.prepared.exists():
        progress(f"preparing the model of {work.name}")
        quantizes = job["searches"] or any(one.recipe.quantize != "none" for one in work.plan)
        place = (work.source, blobs_directory(work.paths), work.prepared, work.name)
        try:
            prepare(*place, for_quantization=quantizes)
        except ConvertError:
            if not job["searches"]:
                raise
            prepare(*place, for_quantization=False)  # fp32 is a way too; the others say why they are none
    try:
        work.settle(progress)
    except BackendError as error:
        raise ConvertError(f"{work.name}: fp32 does not run on this device: {error.message}") from error
    for index in range(job["from"], len(work.plan)):
        try:
            yield work.convert(index, progress)
        except ConvertError as error:
            if not job["searches"]:
                raise
            yield not_tried(work.plan[index].name, error.message)


def race_all(job: Mapping[str, Any], progress: Progress) -> Dict[str, Tuple[float, float]]:
    """p50 and p99 of the candidates in `job["race"]`, by name, and of what is `live`, timed in turn `until`
    a time of the monotonic clock, which is the same in all processes of a Linux. Raises ConvertError."""
    work = _Work(job)
    subjects = {work.plan[index].name: work.subject(index, work.made(index)) for index in job["race"]}
    if job["live"]:
        subjects[LIVE] = work.live(job["live"])
    progress(f"timing {', '.join(subjects)} in turn")
    try:
        return race(subjects, work.samples, job["until"] - time.monotonic())
    except BackendError as error:
        raise ConvertError(f"{work.name}: {error.message}") from error


def measure_given(job: Mapping[str, Any], progress: Progress) -> Row:
    """The row of a model that another device made. Raises ConvertError."""
    work, given = _Work(job), job["given"]
    return work.measured(given["name"], work.given(given), progress)


class _Work:
    """What a job is about."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        self.paths = Paths(Path(job["root"]))
        self._directory, self._cpu_flags = Path(job["work"]), job["cpu_flags"]
        self._most_threads = job["most_threads"]
        self.release = Release.from_json(job["release"].encode(), "the conversion's job")
        self.plan = [Candidate.from_json(data) for data in job["candidates"]]
        self.name = f"{self.release.name} {self.release.version}"
        self._execution = Execution(job["threads"], tuple(job["providers"]))
        self.samples = expecting(self.paths, self.release.sets.selection)
        self.source = blob_path(self.paths, self.release.model.sha256)
        self.prepared = self._directory / PREPARED
        self._labels = labels_of(self.paths, self.release)
        self._made: Dict[str, str] = dict(job.get("made", {}))  # names by the sha256 of their models

    def made(self, index: int) -> Path:
        return model_file(self._directory, index)

    def subject(self, index: int, file: Path) -> Subject:
        return Subject(file, self.release, self.plan[index].recipe.engine, self._labels, self._execution)

    def given(self, told: Mapping[str, Any]) -> Subject:
        file = blob_path(self.paths, told["artifact"])
        return Subject(file, self.release, told["engine"], self._labels, self._execution)

    def live(self, told: Mapping[str, Any]) -> Subject:
        release = Release.from_json(told["release"].encode(), LIVE)
        return Subject(
            blob_path(self.paths, told["artifact"]),
            release,
            told["engine"],
            labels_of(self.paths, release),
            replace(self._execution, threads=told["threads"]),
        )

    def settle(self, progress: Progress) -> None:
        """Find out how many threads pay, where nobody said."""
        if not self._execution.threads:
            self._execution = replace(self._execution, threads=1)
            if self._most_threads > 1:
                progress(f"finding out how many threads pay for {self.name}")
                threads = threads_that_pay(self.subject(0, self.prepared), self._most_threads, self.samples)
                self._execution = replace(self._execution, threads=threads)

    def convert(self, index: int, progress: Progress) -> Row:
        """Make and measure a candidate. Raises ConvertError."""
        candidate, made = self.plan[index], self.made(index)
        progress(f"converting {self.name} to {candidate.name}")
        if candidate.used:
            if candidate.recipe.engine == TENSORRT:
                self._build(candidate.recipe, made, progress)
            else:
                _make(candidate, self.prepared, made, self.release, self.paths, self._cpu_flags)
                finish(made, self.source)
            sha256 = file_sha256(made)
            if sha256 in self._made:
                made.unlink()
                raise ConvertError(f"no effect: it is the same model as {self._made[sha256]}")
            self._made[sha256] = candidate.name
        return self.measured(
            candidate.name, self.subject(index, made if candidate.used else self.prepared), progress
        )

    def measured(self, name: str, subject: Subject, progress: Progress) -> Row:
        """Raises ConvertError."""
        progress(f"measuring {name} on {len(self.samples)} selection samples")
        try:
            found = measure(subject, self.samples)
            most = 1 if subject.engine == TENSORRT else self._most_threads
            times = tuple(spread(subject, most, self.samples))
        except BackendError as error:
            raise ConvertError(
                f"{self.name}: {name} does not run on this device: {error.message}",
            ) from error
        content = subject.file.read_bytes()
        return Row(
            candidate=name,
            quality=found.quality,
            p50_ms=found.p50_ms,
            p99_ms=found.p99_ms,
            samples=found.samples,
            size=len(content),
            verdict=MEASURED,
            why="",
            packed=len(zlib.compress(content)),
            start_ms=found.start_ms,
            memory_mb=found.memory_mb,
            times=times,
            threads=self._execution.threads,
        )

    def _build(self, recipe: Recipe, made: Path, progress: Progress) -> None:
        """An engine of the prepared model, for all shapes that samples have. Raises ConvertError."""
        from edgeai_runtime.convert.tensorrt.build import build_engine

        sets = self.release.sets
        of_all = [*sets.calibration, *sets.selection, *sets.golden]
        blobs = [blob_path(self.paths, sample.sha256) for sample in of_all]
        everything = calibration(self.release, self.paths, self.prepared, blobs)
        samples = calibration(self.release, self.paths, self.prepared)
        options = EngineOptions(
            precision=INT8 if recipe.quantize == STATIC else recipe.precision,
            shapes=shapes_in(everything),
            # Where what serves may not write: TensorRT would read whatever it is given.
            timing_cache=self.paths.conversions / "tensorrt-times",
        )
        build_engine(self.prepared, made, options, progress, samples if len(samples) else None)


def _make(
    candidate: Candidate, prepared: Path, made: Path, release: Release, paths: Paths, cpu_flags: List[str]
) -> None:
    recipe, name = candidate.recipe, f"{release.name} {release.version}"
    start = prepared
    if recipe.prune:
        start = made.with_name("pruned.onnx")
        start.write_bytes(prepared.read_bytes())
        prune(start, recipe.prune, recipe.prune_over, name)
    if recipe.quantize == "none":
        if recipe.precision == FP16:
            halved = made.with_name("halved.onnx")
            halve(start, halved, name)
            start = halved
        optimize(start, made)
    elif recipe.quantize == "dynamic":
        quantize_dynamic(start, made, recipe, cpu_flags, name)
    else:
        quantize_static(start, made, recipe, calibration(release, paths, prepared), cpu_flags, name)


def calibration(
    release: Release, paths: Paths, prepared: Path, files: Optional[List[Path]] = None
) -> Samples:
    """The calibration set, or other `files`, as what the prepared model takes."""
    import onnx

    if files is None:
        files = [blob_path(paths, sample.sha256) for sample in release.sets.calibration]
    if not release.pipeline.pre:
        return Samples(files, requests.inputs_of)
    graph = onnx.load(str(prepared), load_external_data=False).graph
    constants = {tensor.name for tensor in graph.initializer}
    (input_name,) = [value.name for value in graph.input if value.name not in constants]
    return Samples(files, lambda data: {input_name: pipeline.prepare(release.pipeline, data).tensor})
