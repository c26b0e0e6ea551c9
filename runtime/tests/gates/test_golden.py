"""The gate: a real serving process, asked the golden set over HTTP."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np
import psutil
import pytest
import toys
from once import made_once
from toy import DEVICE, build_environment, put, put_model, toy_model, toy_release
from zoo import zoo_release

from edgeai_runtime.convert.convert import convert_release
from edgeai_runtime.errors import GateFailed
from edgeai_runtime.gates import Verdict, prove
from edgeai_runtime.generations.compose import Placed, compose, draft
from edgeai_runtime.generations.trial import _entry
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Pipeline, Recipe, Release, Sample, Sets

FP32 = Recipe(quantize="none")


def convert_the_toy(root: Path) -> None:
    """To fp32, which most of the releases here are, whatever their names, versions and gates."""
    paths = Paths(root)
    build_environment(paths)
    convert_release(paths, DEVICE, toy_release(paths, recipe=FP32), False, ignore)


@pytest.fixture
def paths(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """A device with an environment; gates are what is tested, so the toy was converted before."""
    template = made_once(tmp_path_factory, "converted-to-fp32", convert_the_toy)
    return Paths(shutil.copytree(template, tmp_path / "device"))


def ignore(sentence: str) -> None:
    """No one listens to the progress."""


def generation(paths: Paths, *releases: Release, served: bytes = b"") -> Tuple[Path, str]:
    """Compose a generation, with `served` for converted models where given; its directory and environment."""
    models = {}
    for release in releases:
        made = convert_release(paths, DEVICE, release, False, ignore)
        if served:
            made = replace(made, artifact=put(paths, served).sha256)
        models[release.name] = Placed(_entry(release, made), release)
    wanted = draft(paths, DEVICE, "e" * 64, models, None)
    return paths.generation(compose(paths, DEVICE, wanted, models).manifest.generation), "e" * 64


def gate(paths: Paths, *releases: Release) -> List[Verdict]:
    return prove(paths, *generation(paths, *releases), releases, "1.1.0 still serves", ignore)


def processes_below(root: Path) -> List[Any]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(root) in process.cmdline():
                found.append(process)
    return found


def test_a_good_release_passes_with_its_figures(paths: Paths) -> None:
    (verdict,) = gate(paths, toy_release(paths, gates={"p99_ms": 60_000.0, "memory_mb": 4000.0}))
    assert verdict.passed
    assert [(g.gate, g.passed) for g in verdict.gates] == [
        ("exact_match", True),
        ("p99_ms", True),
        ("memory_mb", True),
    ]
    assert (verdict.right, verdict.samples) == (10, 10)
    assert verdict.p50_ms is not None
    assert 0 < verdict.p50_ms <= (verdict.p99_ms or 0)
    assert 10 < verdict.peak_rss_mb < 1000


def test_a_model_of_tensors_is_proven_by_the_values_of_its_outputs(paths: Paths) -> None:
    release = zoo_release(paths, "of_many", FP32)
    (verdict,) = gate(paths, release)
    assert [(g.gate, g.measured, g.passed) for g in verdict.gates] == [("agreement", 1.0, True)]
    assert verdict.known is not None
    assert verdict.known.content_type == "application/json"
    assert verdict.known.answer.keys() == {"sum", "best"}

    wrong = replace(release.sets.golden[0], expect={"best": [7]})
    release = replace(release, sets=replace(release.sets, golden=(wrong, *release.sets.golden[1:])))
    with pytest.raises(GateFailed, match=r"golden agreement is 0\.83 \(5 of 6 exactly\), required"):
        gate(paths, release)


def test_the_process_is_gone_afterwards(paths: Paths) -> None:
    gate(paths, toy_release(paths, recipe=FP32))
    assert processes_below(paths.root) == []


def test_wrong_answers_fail_with_the_measured_and_the_required_figure(paths: Paths) -> None:
    release = toy_release(paths, "1.2.0", recipe=FP32, wrong_golden=7)
    with pytest.raises(GateFailed) as caught:
        gate(paths, release)
    assert caught.value.message == (
        "label-reader 1.2.0 was not switched to: golden exact_match is 0.30 (3 of 10), "
        "required at least 0.9; "
        "1.1.0 still serves."
    )
    (row,) = caught.value.details["gates"]
    assert row == {
        "model": "label-reader",
        "gate": "exact_match",
        "measured": 0.3,
        "required": 0.9,
        "passed": False,
    }
    assert processes_below(paths.root) == []


def test_slow_and_fat_fail_together_in_one_sentence(paths: Paths) -> None:
    release = toy_release(paths, recipe=FP32, gates={"p99_ms": 0.001, "memory_mb": 1.0})
    with pytest.raises(
        GateFailed, match=r"p99_ms is [\d.]+, required at most 0.001, and memory_mb is [\d.]+,"
    ):
        gate(paths, release)


def test_a_model_that_fails_on_golden_images_says_what_it_answered(paths: Paths) -> None:
    release = toy_release(paths, recipe=FP32)
    directory, environment = generation(paths, release, served=toy_model(erring_width=32))
    with pytest.raises(
        GateFailed, match=r"0 of 10.*first trouble: label-reader 1\.0\.0 failed on the input"
    ) as caught:
        prove(paths, directory, environment, [release], "1.1.0 still serves", ignore)
    assert "roll the release back" not in caught.value.message


def test_a_generation_that_does_not_start_fails_the_gate(paths: Paths) -> None:
    release = toy_release(paths, recipe=FP32)
    directory, environment = generation(paths, release)
    (directory / "models" / "label-reader" / "model.onnx").unlink()
    with pytest.raises(GateFailed, match=r"does not start on this device: .*model\.onnx: missing"):
        prove(paths, directory, environment, [release], "nothing was changed", ignore)
    assert processes_below(paths.root) == []


def test_an_environment_without_python_fails_the_gate(paths: Paths) -> None:
    release = toy_release(paths, recipe=FP32)
    directory, _environment = generation(paths, release)
    with pytest.raises(GateFailed, match="cannot be started"):
        prove(paths, directory, "f" * 64, [release], "nothing was changed", ignore)


def test_two_models_are_asked_in_one_process_and_judged_each(paths: Paths) -> None:
    good = toy_release(paths, recipe=FP32)
    bad = toy_release(paths, name="date-reader", recipe=FP32, wrong_golden=5)
    with pytest.raises(GateFailed) as caught:
        gate(paths, good, bad)
    assert "date-reader 1.0.0 was not switched to" in caught.value.message
    assert "label-reader" not in caught.value.message
    assert [model["right"] for model in caught.value.details["models"]] == [10, 5]


SQUARE = (
    {"op": "decode"},
    {"op": "resize", "width": 64, "height": 64, "fit": "contain"},
    {"op": "pad", "width": 64, "height": 64},
    {"op": "normalize", "mean": [0.0] * 3, "std": [1.0] * 3},
    {"op": "layout", "color": "RGB", "order": "NCHW"},
)
COLOURS = ("red", "green", "blue")


def scene(*places: int) -> bytes:
    """128 x 64 pixels with a blue square of 16 in the lower row at each of `places`."""
    pixels = np.zeros((64, 128, 3), np.uint8)
    for left in places:
        pixels[48:, left : left + 16, 2] = 255
    return toys.png(pixels)


def colour_release(
    paths: Paths, name: str, model: bytes, post: Sequence[Any], samples: Sequence[Tuple[bytes, Any]]
) -> Release:
    split = put_model(paths, model)
    blobs = [(put(paths, image), expect) for image, expect in samples]
    first, *golden = (Sample(blob.sha256, blob.size, expect) for blob, expect in blobs)
    return replace(
        toy_release(paths, name=name, recipe=FP32, gates={"exact_match": 1.0}),
        model=split.graph,
        tensors=split.tensors,
        labels=put(paths, "".join(f"{colour}\n" for colour in COLOURS).encode()),
        pipeline=Pipeline(SQUARE, tuple(post)),
        sets=Sets((), (first,), tuple(golden)),
    )


def detector_release(paths: Paths, *, off: int = 0) -> Release:
    """A detector's; its golden samples expect the boxes `off` pixels beside where they are."""

    def at(*places: int) -> Tuple[Dict[str, Any], ...]:
        return tuple({"label": "blue", "box": [left + off, 48, left + off + 16, 64]} for left in places)

    post = (
        {"op": "detections", "coordinates": "xywh"},
        {"op": "threshold", "min_score": 0.5},
        {"op": "nms", "iou": 0.5},
    )
    samples = [(scene(*places), at(*places)) for places in ((16,), (32, 96), (0, 48, 80), ())]
    return colour_release(paths, "finder", toys.detector(64, 8), post, samples)


def test_a_classifier_is_judged_by_its_label(paths: Paths) -> None:
    post = ({"op": "softmax"}, {"op": "top_k", "k": 2})
    samples = [
        (toys.png(np.full((20, 20, 3), colour, np.uint8)), COLOURS[index])
        for index, colour in enumerate(((255, 0, 9), (0, 255, 9), (9, 0, 255)))
    ]
    (verdict,) = gate(paths, colour_release(paths, "sorter", toys.brightest(), post, samples))
    assert (verdict.right, verdict.samples) == (2, 2)
    assert verdict.known is not None
    assert verdict.known.answer in ({"label": ["green", "blue"]}, {"label": ["blue", "red"]})


def test_a_detector_is_judged_by_its_boxes(paths: Paths) -> None:
    release = detector_release(paths)
    made = convert_release(paths, DEVICE, release, False, ignore)
    assert made.quality == 1.0
    (verdict,) = gate(paths, release)
    assert (verdict.right, verdict.samples) == (3, 3)
    assert verdict.known is not None
    assert set(verdict.known.answer) == {"label"}


def test_boxes_beside_where_they_should_be_fail_the_gate(paths: Paths) -> None:
    with pytest.raises(GateFailed, match=r"exact_match is 0\.33 \(1 of 3\)"):
        gate(paths, detector_release(paths, off=9))
