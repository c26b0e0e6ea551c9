"""Measures what the search of a conversion finds, beside what onnxruntime's own quantizer gives as it is.

    python -m benchmarks.converting [--cases NAMES] [--budget S] [--output DIR]

benchmarks/README.md says what is measured and how to read it.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read while onnxruntime is imported

import psutil
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

from benchmarks.conversions import CASES, CLASS, case
from benchmarks.environments import REPO, UnavailableError
from benchmarks.machine import machine
from benchmarks.pruning import pruning_plot
from benchmarks.serving import CACHE, say
from edgeai_runtime.authoring.rehearse import put_blobs
from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.convert.convert import convert_release
from edgeai_runtime.convert.measure import Subject, expecting, labels_of, measure, race
from edgeai_runtime.convert.prepare import prepare
from edgeai_runtime.convert.prune import prune
from edgeai_runtime.convert.quantize import SampleReader
from edgeai_runtime.convert.work import calibration
from edgeai_runtime.errors import EdgeAIError
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Release, read_source
from edgeai_runtime.settings import Device
from edgeai_runtime.trust.store import blob_path, blobs_directory

EXECUTION = Execution(1, ("cpu",))
RACE_S = 20.0
MOST_OVER = 1.1  # times its budget
SPARSITIES = (0.1, 0.2, 0.3, 0.4, 0.5)


@dataclass(frozen=True)
class Way:
    """One model file, judged by the golden set, which no search has seen; timed in turn with the others."""

    name: str
    quality: float
    p50_ms: float
    size_mb: float
    packed_mb: float


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench-convert", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", default=",".join(CASES), metavar="NAMES", help=f"of: {', '.join(CASES)}")
    parser.add_argument("--budget", type=float, default=240.0, metavar="S", help="of each search (240)")
    parser.add_argument(
        "--output", type=Path, default=REPO / "report" / "benchmarks", metavar="DIR", help="for the results"
    )
    arguments = parser.parse_args()
    told: Dict[str, Any] = {"machine": machine(), "cases": {}}
    try:
        for name in arguments.cases.split(","):
            with tempfile.TemporaryDirectory(prefix="edgeai-bench-") as directory:
                told["cases"][name] = _Case(name, Path(directory), arguments.budget).run()
    except (UnavailableError, EdgeAIError) as error:
        print(f"bench-convert: {error}", file=sys.stderr)
        return 1
    arguments.output.mkdir(parents=True, exist_ok=True)
    file = arguments.output / "converting.json"
    file.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    picture = arguments.output / "pruning.svg"
    about = told["machine"]
    where = f"{about['processor']}, {about['cores']} cores, {about['system']}"
    picture.write_text(pruning_plot(told["cases"], where), encoding="utf-8")
    say(f"Written: {file}, {picture}")
    return 0


class _Case:
    """One release on a device of its own."""

    def __init__(self, name: str, directory: Path, budget_s: float) -> None:
        self._paths, self._work = Paths(directory / "device"), directory / "work"
        self._work.mkdir()
        source = directory / "source"
        for file, content in case(name, CACHE).items():
            (source / file).parent.mkdir(parents=True, exist_ok=True)
            (source / file).write_bytes(content)
        release, contents = read_source(source)
        recipe = replace(release.recipes[CLASS], budget_s=budget_s)
        self._release = replace(release, recipes={CLASS: recipe})
        put_blobs(self._paths, contents)
        self._golden = expecting(self._paths, release.sets.golden)
        self._labels = labels_of(self._paths, release)

    def run(self) -> Dict[str, Any]:
        release, device = (
            self._release,
            Device("bench", CLASS, "", "http://127.0.0.1:9", "127.0.0.1:0", threads=1),
        )
        say(f"== {release.name}: {release.model_size / 1e6:.1f} MB")
        begun = time.perf_counter()
        with _Peak() as peak:
            made = convert_release(
                self._paths, device, release, False, lambda sentence: say(f"   {sentence}")
            )
        searched_s = time.perf_counter() - begun
        begun = time.perf_counter()
        again = convert_release(self._paths, device, release, False, lambda sentence: None)
        again_s = time.perf_counter() - begun
        for row in made.table:
            say(f"   {_row(asdict(row))}")
        ways = self._ways({"auto": blob_path(self._paths, made.artifact)})
        pruned = self._pruned()
        found = [_kept_to(searched_s, release.recipes[CLASS].budget_s), *_judged(ways, release, made.recipe)]
        figures = {
            "chosen": made.recipe,
            "required": release.gates[release.quality],
            "budget_s": release.recipes[CLASS].budget_s,
            "searched_s": round(searched_s, 1),
            "budget_used": round(searched_s / release.recipes[CLASS].budget_s, 3),
            "again_s": round(again_s, 3),
            "again_changed": again.changed,
            "peak_mb": round(peak.mb),
            "peak_allowed_mb": round(3 * release.model_size / 1e6 + 250),
        }
        for line in [*map(str, ways), *found, str(figures)]:
            say(f"   {line}")
        return {
            **figures,
            "table": [asdict(row) for row in made.table],
            "ways": [asdict(way) for way in ways],
            "pruned": [asdict(way) for way in pruned],
            "found": found,
        }

    def _ways(self, files: Dict[str, Path]) -> List[Way]:
        """What was found, fp32, and the quantizer's own defaults."""
        source = self._work / "source.onnx"
        prepare(
            blob_path(self._paths, self._release.model.sha256),
            blobs_directory(self._paths),
            source,
            self._release.name,
            for_quantization=True,
        )
        files["fp32"] = source
        inferred = self._work / "inferred.onnx"
        quant_pre_process(str(source), str(inferred), skip_symbolic_shape=True)
        files["the tool, dynamic"] = self._work / "dynamic.onnx"
        quantization.quantize_dynamic(str(inferred), str(files["the tool, dynamic"]))
        files["the tool, static"] = self._work / "static.onnx"
        reader = SampleReader(calibration(self._release, self._paths, source))
        quantization.quantize_static(str(inferred), str(files["the tool, static"]), reader)
        return self._measured(files)

    def _pruned(self) -> List[Way]:
        files = {}
        for share in SPARSITIES:
            file = self._work / f"pruned-{share}.onnx"
            file.write_bytes((self._work / "source.onnx").read_bytes())
            prune(file, share, "layer", self._release.name)
            files[f"{share:.0%} pruned"] = file
        return self._measured(files)

    def _measured(self, files: Mapping[str, Path]) -> List[Way]:
        subjects = {
            name: Subject(file, self._release, "onnxruntime", self._labels, EXECUTION)
            for name, file in files.items()
        }
        times = race(subjects, self._golden, RACE_S)
        return [
            Way(
                name,
                measure(subjects[name], self._golden, 600).quality or 0.0,
                times[name][0],
                round(file.stat().st_size / 1e6, 2),
                round(len(gzip.compress(file.read_bytes(), 6)) / 1e6, 2),
            )
            for name, file in files.items()
        ]


def _say(sentence: str) -> None:
    say(f"   {sentence}")


class _Peak(threading.Thread):
    """The most memory that the processes begun by this one had at a time."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.mb = 0.0
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.02):
            resident = 0
            for child in psutil.Process().children():
                with contextlib.suppress(psutil.NoSuchProcess):
                    resident += child.memory_info().rss
            self.mb = max(self.mb, resident / 2**20)

    def __enter__(self) -> _Peak:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self.join()


def _kept_to(seconds: float, budget_s: float) -> str:
    """The time that a search may take, and took."""
    over = "" if seconds <= MOST_OVER * budget_s else ", which is too long"
    return f"the search took {seconds:.1f} s, {seconds / budget_s:.0%} of its budget{over}"


def _judged(ways: Sequence[Way], release: Release, recipe: str) -> List[str]:
    """The targets, in words."""
    auto, fp32 = ways[0], ways[1]
    required = release.gates[release.quality]
    told = [
        f"{recipe}: {fp32.p50_ms / auto.p50_ms:.2f} times as fast as fp32, quality {auto.quality:.3f} "
        f"instead of {fp32.quality:.3f}, required {required:g}"
    ]
    for other in ways[2:]:
        passes = other.quality >= required
        told.append(
            f"{other.name}: {other.p50_ms / auto.p50_ms:.2f} times the time of what was found, quality "
            f"{other.quality:.3f}, which {'passes' if passes else 'does not pass'} the gate"
        )
    return told


def _row(row: Mapping[str, Any]) -> str:
    if row["p50_ms"] is None:
        return f"{row['candidate']:45} {row['verdict']}: {row['why']}"
    return (
        f"{row['candidate']:45} {row['quality']:.3f}  {row['p50_ms']:8.2f} ms  {row['size'] / 1e6:7.2f} MB  "
        f"{row['verdict']}: {row['why']}"
    )


if __name__ == "__main__":
    sys.exit(main())
