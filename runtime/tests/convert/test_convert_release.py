"""convert_release: what a device does once for each release, in a process of its own."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest
from toy import DEVICE, operators, put, toy_model, toy_release

from edgeai_runtime.convert import convert_release
from edgeai_runtime.errors import ConvertError, InputError
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Recipe
from edgeai_runtime.trust.store import blob_path


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path)


def ignore(sentence: str) -> None:
    """No one listens to the progress."""


def test_a_static_recipe_gives_an_int8_artifact_in_the_store(paths: Paths) -> None:
    told: List[str] = []
    made = convert_release(paths, DEVICE, toy_release(paths), False, told.append)
    artifact = blob_path(paths, made.artifact)
    assert made.changed
    assert made.recipe == "int8 static"
    assert made.engine == "onnxruntime"
    assert made.quality == 1.0
    assert made.p50_ms is not None
    assert 0 < made.p50_ms <= (made.p99_ms or 0)
    assert artifact.stat().st_size == made.size
    assert {"QuantizeLinear", "DequantizeLinear"} <= set(operators(artifact))
    assert any("measuring int8 static on 6 selection images" in sentence for sentence in told)


def test_the_table_shows_fp32_beside_what_the_recipe_demands(paths: Paths) -> None:
    made = convert_release(paths, DEVICE, toy_release(paths), False, ignore)
    assert [(row.candidate, row.verdict, row.samples) for row in made.table] == [
        ("fp32", "compared", 6),
        ("int8 static", "chosen", 6),
    ]
    assert "quality 1.00 instead of 1.00" in made.table[1].why


def test_a_model_in_graph_and_tensors_converts_to_what_it_was_in_one_file(paths: Paths) -> None:
    split = toy_release(paths)
    assert split.tensors
    whole = dataclasses.replace(split, model=put(paths, toy_model()), tensors=())
    made = [convert_release(paths, DEVICE, release, False, ignore) for release in (split, whole)]
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
        (Recipe(quantize="none"), "fp32"),
        (Recipe(quantize="dynamic"), "int8 dynamic"),
        (Recipe(quantize="dynamic", operators=("Conv", "MatMul"), per_channel=True), "int8 dynamic"),
        (Recipe(quantize="static", operators=("MatMul",)), "int8 static"),
        (Recipe(quantize="none", prune=0.1), "fp32, 10 % pruned"),
    ],
)
def test_every_recipe_gives_a_model_that_answers(paths: Paths, recipe: Recipe, name: str) -> None:
    made = convert_release(paths, DEVICE, toy_release(paths, recipe=recipe), False, ignore)
    assert made.recipe == name
    assert made.table[-1].samples == 6
    if recipe.prune == 0:
        assert made.quality == 1.0


def test_converting_the_same_again_changes_nothing_and_loads_no_engine(paths: Paths) -> None:
    release = toy_release(paths)
    first = convert_release(paths, DEVICE, release, False, ignore)
    manifest = paths.root / "release.json"
    manifest.write_bytes(release.to_json())
    again = subprocess.run(
        [sys.executable, "-c", ASK_AGAIN, str(paths.root), str(manifest)], capture_output=True, check=True
    )
    answer = json.loads(again.stdout)
    assert answer["changed"] is False
    assert answer["artifact"] == first.artifact
    assert answer["loaded"] == []


ASK_AGAIN = """
import json, sys
from pathlib import Path
from edgeai_runtime.convert import convert_release
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Release
from edgeai_runtime.settings import Device
device = Device("line1-pi", "raspberry_pi", "line-1", "http://127.0.0.1:9", "127.0.0.1:0", threads=2)
release = Release.from_json(Path(sys.argv[2]).read_bytes(), "release.json")
again = convert_release(Paths(Path(sys.argv[1])), device, release, False, print)
loaded = [name for name in ("onnx", "onnxruntime", "numpy", "PIL") if name in sys.modules]
print(json.dumps({"changed": again.changed, "artifact": again.artifact, "loaded": loaded}))
"""


def test_a_new_version_of_the_same_model_is_not_converted_anew(paths: Paths) -> None:
    convert_release(paths, DEVICE, toy_release(paths, "1.0.0"), False, ignore)
    assert not convert_release(paths, DEVICE, toy_release(paths, "1.0.1"), False, ignore).changed


def test_another_recipe_is_another_conversion(paths: Paths) -> None:
    one = convert_release(paths, DEVICE, toy_release(paths), False, ignore)
    other = toy_release(paths, recipe=Recipe(quantize="static", per_channel=False))
    two = convert_release(paths, DEVICE, other, False, ignore)
    assert two.changed
    assert two.fingerprint != one.fingerprint


def test_a_lost_artifact_is_converted_again(paths: Paths) -> None:
    release = toy_release(paths)
    first = convert_release(paths, DEVICE, release, False, ignore)
    blob_path(paths, first.artifact).unlink()
    again = convert_release(paths, DEVICE, release, False, ignore)
    assert again.changed
    assert blob_path(paths, again.artifact).is_file()


def test_a_damaged_record_is_written_again(paths: Paths) -> None:
    release = toy_release(paths)
    first = convert_release(paths, DEVICE, release, False, ignore)
    record = paths.conversions / f"{first.fingerprint}.json"
    record.write_text("{")
    assert convert_release(paths, DEVICE, release, False, ignore).changed
    assert json.loads(record.read_text())["conversion"]["artifact"] == first.artifact


def test_a_check_predicts_and_writes_nothing(paths: Paths) -> None:
    release = toy_release(paths)
    predicted = convert_release(paths, DEVICE, release, True, ignore)
    assert predicted.changed
    assert predicted.actions == ("would convert label-reader 1.0.0 to int8 static",)
    assert not paths.conversions.exists()
    assert not paths.journal.exists()
    assert convert_release(paths, DEVICE, release, False, ignore).fingerprint == predicted.fingerprint


def test_a_truncated_model_is_an_error_in_one_sentence_and_leaves_nothing(paths: Paths) -> None:
    release = toy_release(paths, model=toy_model()[:-400])
    with pytest.raises(
        ConvertError, match=r"label-reader 1\.0\.0: the file is no complete ONNX model"
    ) as caught:
        convert_release(paths, DEVICE, release, False, ignore)
    assert "\n" not in caught.value.message
    assert "Traceback" not in caught.value.message
    assert list(paths.conversions.iterdir()) == []


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
    release = toy_release(paths, model=toy_model(erring_width=64), recipe=Recipe(quantize="none"))
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
    convert_release(paths, DEVICE, toy_release(paths), False, ignore)
    assert [entry.suffix for entry in paths.conversions.iterdir()] == [".json"]


def test_the_journal_says_who_converted_what(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEAI_ACTOR", "rollout 7")
    made = convert_release(paths, DEVICE, toy_release(paths), False, ignore)
    (line,) = paths.journal.read_text().splitlines()
    entry = json.loads(line)
    assert entry["event"] == "converted"
    assert entry["actor"] == "rollout 7"
    assert entry["artifact"] == made.artifact
