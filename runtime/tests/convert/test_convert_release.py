"""convert_release: what a device does once for each release, in a process of its own."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest
from once import made_once
from toy import DEVICE, operators, put, toy_model, toy_release

from edgeai_runtime.convert.convert import convert_release
from edgeai_runtime.errors import ConvertError, InputError
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Blob, Recipe
from edgeai_runtime.trust.store import blob_path

FP32 = Recipe(quantize="none")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path)


def convert_the_toy(root: Path) -> None:
    paths = Paths(root)
    convert_release(paths, DEVICE, toy_release(paths), False, ignore)


@pytest.fixture
def converted(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """A device that converted the toy before, by the recipe that it has."""
    template = made_once(tmp_path_factory, "converted-by-recipe", convert_the_toy)
    return Paths(shutil.copytree(template, tmp_path / "converted"))


def ignore(sentence: str) -> None:
    """No one listens to the progress."""


def test_a_static_recipe_gives_an_int8_artifact_in_the_store(paths: Paths) -> None:
    told: List[str] = []
    made = convert_release(paths, DEVICE, toy_release(paths), False, told.append)
    artifact = blob_path(paths, made.artifact)
    assert made.changed
    assert made.recipe == "int8 static, per channel"
    assert made.engine == "onnxruntime"
    assert made.quality == 1.0
    assert made.p50_ms is not None
    assert 0 < made.p50_ms <= (made.p99_ms or 0)
    assert artifact.stat().st_size == made.size
    assert {"QuantizeLinear", "DequantizeLinear"} <= set(operators(artifact))
    assert any("measuring int8 static, per channel on 6 selection samples" in sentence for sentence in told)


def test_the_table_shows_fp32_beside_what_the_recipe_demands(converted: Paths) -> None:
    made = convert_release(converted, DEVICE, toy_release(converted), False, ignore)
    assert [(row.candidate, row.verdict, row.samples) for row in made.table] == [
        ("fp32", "compared", 6),
        ("int8 static, per channel", "chosen", 6),
    ]
    assert "quality 1.00 instead of 1.00" in made.table[1].why


def test_a_model_in_graph_and_tensors_converts_to_what_it_was_in_one_file(converted: Paths) -> None:
    split = toy_release(converted)
    assert split.tensors
    whole = dataclasses.replace(split, model=put(converted, toy_model()), tensors=())
    made = [convert_release(converted, DEVICE, release, False, ignore) for release in (split, whole)]
    assert [one.changed for one in made] == [False, True]
    assert made[0].artifact == made[1].artifact
    assert made[0].fingerprint != made[1].fingerprint


def test_black_calibration_images_show_in_the_measured_quality(paths: Paths) -> None:
    made = convert_release(paths, DEVICE, toy_release(paths, black=True), False, ignore)
    assert made.table[0].quality == 1.0
    assert made.quality is not None
    assert made.quality < 0.5


@pytest.mark.parametrize(
    ("recipe", "name"),
    [
        (FP32, "fp32"),
        (Recipe(quantize="dynamic"), "int8 dynamic"),
        (
            Recipe(quantize="dynamic", operators=("Conv", "MatMul"), per_channel=True),
            "int8 dynamic of Conv and MatMul, per channel",
        ),
        (Recipe(quantize="static", operators=("MatMul",)), "int8 static of MatMul"),
        (Recipe(quantize="none", prune=0.1), "fp32, 10 % pruned"),
    ],
)
def test_every_recipe_gives_a_model_that_answers(paths: Paths, recipe: Recipe, name: str) -> None:
    made = convert_release(paths, DEVICE, toy_release(paths, recipe=recipe), False, ignore)
    assert made.recipe == name
    assert made.table[-1].samples == 6
    if recipe.prune == 0:
        assert made.quality == 1.0


def test_converting_the_same_again_changes_nothing_and_loads_no_engine(converted: Paths) -> None:
    manifest = converted.root / "release.json"
    manifest.write_bytes(toy_release(converted).to_json())
    again = subprocess.run(
        [sys.executable, "-c", ASK_AGAIN, str(converted.root), str(manifest)], capture_output=True, check=True
    )
    answer = json.loads(again.stdout)
    assert answer["changed"] is False
    assert blob_path(converted, answer["artifact"]).is_file()
    assert answer["loaded"] == []


ASK_AGAIN = """
import json, sys
from pathlib import Path
from edgeai_runtime.convert.convert import convert_release
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Release
from edgeai_runtime.settings import Device
device = Device("line1-pi", "raspberry_pi", "line-1", "http://127.0.0.1:9", "127.0.0.1:0", threads=1)
release = Release.from_json(Path(sys.argv[2]).read_bytes(), "release.json")
again = convert_release(Paths(Path(sys.argv[1])), device, release, False, print)
loaded = [name for name in ("onnx", "onnxruntime", "numpy", "PIL") if name in sys.modules]
print(json.dumps({"changed": again.changed, "artifact": again.artifact, "loaded": loaded}))
"""


def test_a_new_version_of_the_same_model_is_not_converted_anew(converted: Paths) -> None:
    assert not convert_release(converted, DEVICE, toy_release(converted, "1.0.1"), False, ignore).changed


def test_another_recipe_is_another_conversion(converted: Paths) -> None:
    one = convert_release(converted, DEVICE, toy_release(converted), False, ignore)
    other = toy_release(converted, recipe=Recipe(quantize="static", per_channel=False))
    two = convert_release(converted, DEVICE, other, False, ignore)
    assert (one.changed, two.changed) == (False, True)
    assert two.fingerprint != one.fingerprint


def test_a_lost_artifact_is_converted_again(converted: Paths) -> None:
    release = toy_release(converted)
    first = convert_release(converted, DEVICE, release, False, ignore)
    blob_path(converted, first.artifact).unlink()
    again = convert_release(converted, DEVICE, release, False, ignore)
    assert (first.changed, again.changed) == (False, True)
    assert blob_path(converted, again.artifact).is_file()


def test_a_damaged_record_is_written_again(converted: Paths) -> None:
    release = toy_release(converted)
    first = convert_release(converted, DEVICE, release, False, ignore)
    record = converted.conversions / f"{first.fingerprint}.json"
    record.write_text("{")
    assert convert_release(converted, DEVICE, release, False, ignore).changed
    assert json.loads(record.read_text())["conversion"]["artifact"] == first.artifact


def test_a_check_predicts_and_writes_nothing(paths: Paths, converted: Paths) -> None:
    release = toy_release(paths)
    predicted = convert_release(paths, DEVICE, release, True, ignore)
    assert predicted.changed
    assert predicted.actions == (
        "would convert label-reader 1.0.0 to int8 static, per channel, which it never was here",
    )
    assert not paths.conversions.exists()
    assert not paths.journal.exists()
    made = convert_release(converted, DEVICE, toy_release(converted), False, ignore)
    assert made.fingerprint == predicted.fingerprint


def test_what_differs_from_the_last_conversion_is_told_before_and_after(converted: Paths) -> None:
    release = toy_release(converted, "1.1.0", recipe=FP32)
    predicted = convert_release(converted, DEVICE, release, True, ignore)
    assert predicted.differs.keys() == {"calibration", "recipe.per_channel", "recipe.quantize"}
    assert predicted.differs["recipe.quantize"] == ("static", "none")
    (action,) = predicted.actions
    assert action.endswith("1.1.0 to fp32, since calibration, recipe.per_channel, recipe.quantize differ")
    made = convert_release(converted, DEVICE, release, False, ignore)
    assert made.differs == predicted.differs
    assert convert_release(converted, DEVICE, release, False, ignore).differs == {}


def test_a_truncated_model_is_an_error_in_one_sentence_and_leaves_nothing(paths: Paths) -> None:
    release = toy_release(paths, model=toy_model()[:-400])
    with pytest.raises(
        ConvertError, match=r"label-reader 1\.0\.0: the file is no complete ONNX model"
    ) as caught:
        convert_release(paths, DEVICE, release, False, ignore)
    assert "\n" not in caught.value.message
    assert "Traceback" not in caught.value.message
    assert list(paths.conversions.iterdir()) == []


def test_one_of_more_than_two_gigabytes_is_refused_and_leaves_nothing(paths: Paths) -> None:
    release = toy_release(paths)
    huge = dataclasses.replace(release, tensors=(*release.tensors, Blob("a" * 64, 1 << 31)))
    with pytest.raises(ConvertError, match=r"the model has 2\.1 GB, and one of more than 2 GB cannot"):
        convert_release(paths, DEVICE, huge, False, ignore)
    assert not list(paths.conversions.glob("*"))


def test_what_is_no_model_at_all_is_an_error_in_one_sentence(paths: Paths) -> None:
    with pytest.raises(ConvertError, match="no complete ONNX model"):
        convert_release(paths, DEVICE, toy_release(paths, model=b"not a model"), False, ignore)


def test_a_class_without_a_recipe_is_told_which_there_are(paths: Paths) -> None:
    jetson = dataclasses.replace(DEVICE, device_class="jetson")
    with pytest.raises(InputError, match="raspberry_pi"):
        convert_release(paths, jetson, toy_release(paths), False, ignore)


def test_operators_the_model_lacks_are_an_error_instead_of_an_unquantized_model(paths: Paths) -> None:
    release = toy_release(paths, recipe=Recipe(quantize="dynamic", operators=("Gemm",)))
    with pytest.raises(ConvertError, match="nothing was quantized, it has no Gemm"):
        convert_release(paths, DEVICE, release, False, ignore)


def test_a_model_that_fails_on_the_selection_images_is_refused(paths: Paths) -> None:
    release = toy_release(paths, model=toy_model(erring_width=64), recipe=FP32)
    with pytest.raises(ConvertError, match="fp32 does not run on this device"):
        convert_release(paths, DEVICE, release, False, ignore)


def test_a_release_that_was_not_fetched_is_refused(paths: Paths) -> None:
    release = toy_release(paths)
    blob_path(paths, release.model.sha256).unlink()
    with pytest.raises(ConvertError, match="fetch the release first"):
        convert_release(paths, DEVICE, release, False, ignore)


def test_what_an_interrupted_conversion_left_is_removed(paths: Paths) -> None:
    left = paths.conversions / ".work-interrupted"
    left.mkdir(parents=True)
    (left / "prepared.onnx").write_bytes(b"half")
    convert_release(paths, DEVICE, toy_release(paths, recipe=FP32), False, ignore)
    assert [entry.suffix for entry in paths.conversions.iterdir()] == [".json"]


def test_the_journal_says_who_converted_what(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEAI_ACTOR", "rollout 7")
    made = convert_release(paths, DEVICE, toy_release(paths, recipe=FP32), False, ignore)
    (line,) = paths.journal.read_text().splitlines()
    entry = json.loads(line)
    assert entry["event"] == "converted"
    assert entry["actor"] == "rollout 7"
    assert entry["artifact"] == made.artifact
