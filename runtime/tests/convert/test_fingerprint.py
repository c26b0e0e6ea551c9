"""The fingerprint: equal where the work would be equal, different where it would not."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Callable, Dict

import pytest
from toy import toy_release

from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.convert import fingerprint, processor
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Blob, Pipeline, Recipe, Release, Sets

RECIPE = Recipe(quantize="static")
ONE = Execution()


def digest_of(
    release: Release, recipe: Recipe = RECIPE, execution: Execution = ONE, most_threads: int = 1
) -> str:
    return fingerprint.digest(fingerprint.inputs(release, recipe, execution, most_threads))


def test_the_same_release_gives_the_same_fingerprint(tmp_path: Path) -> None:
    release = toy_release(Paths(tmp_path))
    assert digest_of(release) == digest_of(release)
    assert digest_of(dataclasses.replace(release, version="9.9.9")) == digest_of(release)


CHANGES: Dict[str, Callable[[Release], Release]] = {
    "model": lambda r: dataclasses.replace(r, model=Blob("0" * 64, 1)),
    "labels": lambda r: dataclasses.replace(r, labels=None),
    "pipeline": lambda r: dataclasses.replace(r, pipeline=Pipeline(r.pipeline.pre[:1], r.pipeline.post)),
    "calibration": lambda r: dataclasses.replace(
        r, sets=Sets(r.sets.calibration[:1], r.sets.selection, r.sets.golden)
    ),
    "selection": lambda r: dataclasses.replace(
        r, sets=Sets(r.sets.calibration, r.sets.selection[:1], r.sets.golden)
    ),
    "golden": lambda r: dataclasses.replace(
        r, sets=Sets(r.sets.calibration, r.sets.selection, r.sets.golden[:1])
    ),
}


@pytest.mark.parametrize("part", CHANGES)
def test_what_the_conversion_sees_changes_it(tmp_path: Path, part: str) -> None:
    release = toy_release(Paths(tmp_path))
    assert digest_of(CHANGES[part](release)) != digest_of(release)


def test_another_platform_changes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = toy_release(Paths(tmp_path))
    before = digest_of(release)
    monkeypatch.setattr(fingerprint, "system_versions", lambda: {"l4t": "36.5.0"})
    assert digest_of(release) != before


def test_onnxruntime_for_a_gpu_is_found_under_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(package: str) -> str:
        if package == "onnxruntime":
            raise fingerprint.metadata.PackageNotFoundError(package)
        return {"onnxruntime-gpu": "1.23.0"}.get(package, "1.0")

    monkeypatch.setattr(fingerprint.metadata, "version", version)
    packages = fingerprint.inputs(toy_release(Paths(tmp_path)), RECIPE, ONE, 1)["packages"]
    assert packages["onnxruntime"] == "gpu 1.23.0"


@pytest.mark.parametrize(
    "recipe", [Recipe(quantize="dynamic"), Recipe(quantize="static", prune=0.1), Recipe(operators=("Conv",))]
)
def test_another_recipe_changes_it(tmp_path: Path, recipe: Recipe) -> None:
    release = toy_release(Paths(tmp_path))
    assert digest_of(release, recipe) != digest_of(release)
    assert digest_of(release, execution=Execution(2)) != digest_of(release)
    assert digest_of(release, execution=Execution(1, ("xnnpack", "cpu"))) != digest_of(release)
    assert digest_of(release, most_threads=4) != digest_of(release)


@pytest.mark.parametrize(
    "changed",
    [
        {"packages": {"onnxruntime": "1.0"}},
        {"cpu": {"model": "another", "flags": []}},
        {"architecture": "aarch64"},
        {"converter": 0},
        {"gpu": {"name": "NVIDIA T400", "compute_capability": "7.5", "driver": "550.90.07"}},
    ],
)
def test_another_device_or_engine_changes_it(tmp_path: Path, changed: Dict[str, Any]) -> None:
    inputs = fingerprint.inputs(toy_release(Paths(tmp_path)), RECIPE, ONE, 1)
    assert inputs["packages"]["onnxruntime"]
    assert fingerprint.digest({**inputs, **changed}) != fingerprint.digest(inputs)


ARM = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd0b

processor\t: 1
BogoMIPS\t: 107.00
"""


def test_an_arm_cpu_is_known_by_its_part_and_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(ARM)
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "cpuinfo")
    assert processor.cpu() == {"model": "0x41 0xd0b", "flags": ["asimd", "asimddp", "fp"]}


def test_differences_are_told_field_by_field_and_shortly() -> None:
    old = {"packages": {"onnx": "1.17"}, "threads": 1, "selection": [["a" * 64, "AB"]] * 3, "cpu": "same"}
    new = {"packages": {"onnx": "1.19"}, "selection": [["b" * 64, "AB"]] * 3, "cpu": "same"}
    told = fingerprint.differences(old, new)
    assert told["packages.onnx"] == ("1.17", "1.19")
    assert told["threads"] == ("1", "nothing")
    assert [text[:22] for text in told["selection"]] == [
        "3 of them, sha256 " + told["selection"][n][18:22] for n in (0, 1)
    ]
    assert told.keys() == {"packages.onnx", "threads", "selection"}
