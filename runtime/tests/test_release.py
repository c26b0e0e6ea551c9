"""Releases: an author's directory in, a canonical manifest out, every mistake named."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any, Callable, Dict

import pytest

from edgeai_runtime.authoring.check import read
from edgeai_runtime.errors import InputError
from edgeai_runtime.release import QUALITIES, Blob, Release, Serving, is_right, read_source
from edgeai_runtime.release.pipelines import POST_OPERATIONS, PRE_OPERATIONS
from edgeai_runtime.release.recipe import ENGINES, QUANTIZERS, Recipe
from edgeai_runtime.release.tables import GATES

sys.path.append(str(Path(__file__).parent / "bundle"))

from making import write_release


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_release(tmp_path / "source")


def edit(source: Path, old: str, new: str) -> None:
    path = source / "release.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def refused(source: Path) -> str:
    """The sentence the directory is refused with."""
    with pytest.raises(InputError) as caught:
        read(source)
    assert "\n" not in caught.value.message
    return caught.value.message


def test_a_release_names_its_files_by_content(source: Path) -> None:
    release, files = read_source(source)
    model = hashlib.sha256(b"a model").hexdigest()
    assert release.model == Blob(model, 7)
    assert files[model] == source / "model.onnx"
    assert {blob.sha256 for blob in release.blobs} == set(files)
    assert len(release.blobs) == 2 + 3 + 2 + 2
    assert [sample.expect for sample in release.sets.golden] == ["AB", "AB"]
    assert [sample.expect for sample in release.sets.calibration] == [None] * 3


def test_the_page_on_releases_shows_one_and_names_all_there_is(source: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/release.md").read_text(encoding="utf-8")
    shown = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert shown
    (source / "release.toml").write_text(shown[1], encoding="utf-8")
    release, _files = read_source(source)
    assert set(GATES) - set(QUALITIES) <= release.gates.keys()
    for name in (*GATES, *PRE_OPERATIONS, *POST_OPERATIONS, *ENGINES, *QUANTIZERS, *vars(Recipe())):
        assert f"`{name}`" in page


def test_a_manifest_reads_back_as_the_same_release(source: Path) -> None:
    release, _files = read_source(source)
    again = Release.from_json(release.to_json(), "manifest")
    assert again == release
    assert again.digest == release.digest == hashlib.sha256(release.to_json()).hexdigest()


def test_equal_content_gives_equal_bytes_wherever_it_lies(source: Path, tmp_path: Path) -> None:
    shutil.copytree(source, tmp_path / "copy")
    assert read_source(source)[0].to_json() == read_source(tmp_path / "copy")[0].to_json()


def test_a_manifest_is_canonical(source: Path) -> None:
    data = read_source(source)[0].to_json()
    assert data.endswith(b"}\n")
    assert b": " not in data
    with pytest.raises(InputError, match=r"manifest: this manifest is not in canonical form"):
        Release.from_json(json.dumps(json.loads(data)).encode(), "manifest")


def test_numbers_that_are_equal_are_written_alike(source: Path) -> None:
    before = read_source(source)[0].digest
    edit(source, "exact_match = 0.95", "exact_match = 0.950")
    assert read_source(source)[0].digest == before


def test_a_device_class_without_a_recipe_is_told_which_have_one(source: Path) -> None:
    release, _files = read_source(source)
    assert release.recipe_for("raspberry_pi").quantize == "static"
    with pytest.raises(InputError, match="no recipe for the device class 'jetson', only for raspberry_pi"):
        release.recipe_for("jetson")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("schema = 1", "schema = 2", "schema is 2, this runtime reads 1"),
        ('description = "', 'decription = "', "unknown key 'decription'; did you mean 'description'"),
        ("[gates]", "[gate]", "unknown key 'gate'; did you mean 'gates'"),
        (
            "exact_match = 0.95",
            "exact_match = 0.95\ntop_k = 1.0",
            r"\[gates\]: exact_match and top_k says how good answers must be, expected exactly one of",
        ),
        ("exact_match = 0.95", "", r"\[gates\]: nothing says how good answers must be"),
        (
            "exact_match = 0.95",
            "mean_average_precision = 0.5",
            "mean_average_precision cannot be measured where the sample .* expects a text",
        ),
        ("exact_match", "exact_mach", r"\[gates\]: unknown key 'exact_mach'; did you mean 'exact_match'"),
        ("0.95", "95", r"'exact_match' is 95, expected 0 to 1"),
        ("0.95", '"high"', "'exact_match' is 'high', expected a number"),
        ("0.95", "true", "'exact_match' is True, expected a number"),
        ('version = "1.0.0"', 'version = "1.0"', "the version is '1.0', expected one like 1.4.0"),
        ('version = "1.0.0"', 'version = "01.0.0"', "the version is '01.0.0'"),
        ('version = "1.0.0"', "version = 1.0", "'version' is 1.0, expected text"),
        ('"label-reader"', '"Label Reader"', "the name is 'Label Reader', expected lower-case"),
        ('"label-reader"', '"../reader"', "the name is '../reader'"),
        (
            "raspberry_pi",
            "rasberry_pi",
            r"\[recipes\]: unknown key 'rasberry_pi'; did you mean 'raspberry_pi'",
        ),
        ('"static"', '"statics"', "'quantize' is 'statics', expected one of none, dynamic, static"),
        ('"onnxruntime"', '"tensorflow"', "'engine' is 'tensorflow', expected one of onnxruntime, tensorrt"),
        (
            '"onnxruntime"',
            '"tensorrt"\ncalibrate = "entropy"',
            "'calibrate' = 'entropy' says nothing to Tens",
        ),
        ('"static"', '"static"\nprune = 1.0', "'prune' is 1.0, expected a share from 0 to below 1"),
        ('"static"', '"static"\nthreads = 257', "'threads' is 257, expected 0 to 256"),
        ('"static"', '"static"\nper_channel = 1', "'per_channel' is 1, expected true or false"),
        ('"static"', '"static"\nkeep_fp32 = 2', "'keep_fp32' is 2.0, expected a share from 0 to below 1"),
        ('"static"', '"static"\ncalibrate = "max"', "expected one of minmax, percentile, entropy"),
        ('"static"', '"static"\nprecision = "fp16"', "'precision' says nothing with quantize = \"static\""),
        ('"static"', '"dynamic"\nactivations = "int8"', "'activations' says nothing with quantize = \"dynam"),
        (
            'quantize = "static"',
            'strategy = "auto"\nways = ["int8"]',
            "'ways' names int8, expected some of fp32",
        ),
        ('"static"', '"static"\noperators = [1]', "'operators' is \\[1\\], expected names"),
        (
            'op = "decode"',
            'op = "decoed"',
            "the operation 'decoed' is unknown; known are: crop, decode, layout",
        ),
        ('color = "BGR"', 'colour = "BGR"', "'layout': unknown key 'colour'; did you mean 'color'"),
        ('color = "BGR"', 'color = "GRB"', "'color' is 'GRB', expected one of RGB, BGR"),
        ('op = "decode"', 'op = "resize"', "'resize': the key 'height' is missing"),
        ('op = "decode"', 'op = "resize", height = 0', "'height' is 0, expected at least 1 pixel"),
        (
            'op = "decode"',
            'op = "resize", height = 8, min_width = 9, max_width = 8',
            "'min_width' is above 'max_width'",
        ),
        (
            'op = "decode"',
            'op = "normalize", mean = [0.5], std = [1, 1, 1]',
            "'mean' is \\[0.5\\], expected three",
        ),
        ('op = "decode"', 'op = "normalize", mean = [0, 0, 0], std = [1, 0, 1]', "'std' is"),
        (
            'op = "decode"',
            'op = "pad", width = 8',
            "'pad': 'width' alone says too little; give both width and",
        ),
        ('op = "decode"', 'op = "pad"', "either 'width' and 'height' or 'multiple'"),
        ('op = "decode"', 'op = "pad", multiple = 32, value = 256', "'value' is 256, expected 0 to 255"),
        ('op = "decode"', 'op = "pad", multiple = 8, position = "left"', "expected one of center, top_left"),
        ('op = "decode"', 'op = "crop", width = 8, height = 8, top = 1', "'top' alone says too little"),
        ('op = "decode"', 'op = "resize", height = 8, fit = "cover"', "'fit' says how to fill"),
        (
            'op = "decode"',
            'op = "resize", height = 8, width = 8, min_width = 8',
            "'width' leaves 'min_width' and 'max_width' nothing to do",
        ),
        ('op = "ctc_text"', 'op = "detections"', "'detections': the key 'coordinates' is missing"),
        ('op = "ctc_text"', 'op = "detections", coordinates = "xyxy", boxes = "b"', "'boxes' alone says"),
        (
            'op = "ctc_text"',
            'op = "detections", coordinates = "xyxy", boxes = "b", scores = "s", objectness = true',
            "'objectness' lies beside the coordinates",
        ),
        ('op = "ctc_text"', 'op = "nms", iou = 1.5', "'iou' is 1.5, expected 0 to 1"),
        ('op = "ctc_text"', 'op = "top_k", k = 0', "'k' is 0, expected 1 to 1000"),
        ('op = "ctc_text"', 'op = "sigmoid", output = 1', "'output' is 1, expected text"),
        (
            'op = "ctc_text"',
            'op = "detections", coordinates = "xyxy"',
            r"the sample selection/0\.png expects 'AB', its pipeline answers with boxes; expect a list of",
        ),
        ('labels = "labels.txt"\n', "", "ctc_text needs the model's labels"),
        ('calibration = "calibration.jsonl"\n', "", "static quantization needs a calibration set"),
        ('source = "model.onnx"', 'source = "modle.onnx"', r"\[model\]: the file modle.onnx is missing"),
        ('golden = "golden.jsonl"', 'golden = "gold.jsonl"', r"\[sets\]: the file gold.jsonl is missing"),
        ('source = "model.onnx"', 'source = "../model.onnx"', "lies outside the release's directory"),
        ('source = "model.onnx"', "source =", "this is not TOML"),
    ],
)
def test_a_mistake_in_release_toml_is_named(source: Path, old: str, new: str, sentence: str) -> None:
    edit(source, old, new)
    message = refused(source)
    assert re.search(sentence, message)
    assert message.startswith(str(source / "release.toml"))


BOXES = [{"label": "A", "box": [1, 2, 30, 40.5]}, {"label": "B", "box": [0, 0, 5, 5]}]


def expect(source: Path, value: Any) -> None:
    """Make the release a detector's, all of whose samples expect `value`."""
    edit(source, 'op = "ctc_text"', 'op = "detections", coordinates = "xyxy"')
    for name in ("selection", "golden"):
        path = source / f"{name}.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps({**line, "expect": value}) + "\n" for line in lines))


def test_how_it_wants_to_be_served_is_part_of_it(source: Path) -> None:
    plain, _files = read_source(source)
    assert "serving" not in json.loads(plain.to_json())
    with (source / "release.toml").open("a") as file:
        file.write('\n[serving]\nbatching = 4\npreferred_batch_sizes = [2, 4]\ncache = "off"\n')
    release, _files = read_source(source)
    assert release.serving == Serving(batching=4, preferred_batch_sizes=(2, 4), cache="off")
    assert Release.from_json(release.to_json(), "manifest") == release
    assert release.digest != plain.digest


def test_a_detectors_samples_expect_boxes(source: Path) -> None:
    expect(source, BOXES)
    release, _files = read_source(source)
    assert [sample.expect for sample in release.sets.golden] == [tuple(BOXES)] * 2
    assert Release.from_json(release.to_json(), "manifest") == release


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ([{"label": "A"}], "line 1: the key 'box' is missing"),
        ([{"label": "A", "boxes": []}], "unknown key 'boxes'; did you mean 'box'"),
        ([{"label": 1, "box": [0, 0, 1, 1]}], "'label' is 1, expected text"),
        ([{"label": "A", "box": [0, 0, 1]}], r"'box' is \[0, 0, 1\], expected \[left, top, right, bottom\]"),
        ([{"label": "A", "box": [5, 0, 1, 1]}], r"'box' is \[5, 0, 1, 1\]"),
        ([["A", 0, 0, 1, 1]], r"\['A', 0, 0, 1, 1\] is no "),
        (7, "'expect' is 7, expected text, a list of"),
        ({}, "'expect' is {}, expected text, a list of"),
        ({"y": 1}, "'y' of 'expect' is no list of numbers, booleans or texts"),
        ({"y": [[1, None]]}, "'y' of 'expect' is no list of numbers, booleans or texts"),
    ],
)
def test_a_mistake_in_expected_boxes_is_named(source: Path, value: Any, sentence: str) -> None:
    expect(source, value)
    assert re.search(sentence, refused(source))


@pytest.mark.parametrize(
    ("expected", "answer", "right"),
    [
        ("AB", {"text": ["AB"]}, True),
        ("AB", {"text": ["A"]}, False),
        ("cat", {"label": ["cat", "dog"]}, True),
        ("dog", {"label": ["cat", "dog"]}, False),
        ("", {"label": []}, True),
        ("AB", {}, False),
        ((), {"boxes": [], "label": []}, True),
        ((), {"boxes": [0, 0, 1, 1], "label": ["A"]}, False),
        (BOXES, {"boxes": [0, 0, 5, 4, 2, 2, 30, 40], "label": ["B", "A"]}, True),
        (BOXES, {"boxes": [0, 0, 5, 4, 2, 2, 30, 40], "label": ["A", "B"]}, False),
        (BOXES, {"boxes": [2, 2, 30, 40], "label": ["A"]}, False),
        (BOXES, {"boxes": [0, 0, 5, 2, 2, 2, 30, 40], "label": ["B", "A"]}, False),
        (BOXES, {"boxes": [2, 2, 30, 40, 1, 2, 30, 40], "label": ["A", "A"]}, False),
        ({"y": [[1.0], [2.0]], "z": [True]}, {"y": [1.01, 2.0], "z": [True]}, True),
        ({"y": [[1.0], [2.0]], "z": [True]}, {"y": [1.03, 2.0], "z": [True]}, False),
        ({"y": [100]}, {"y": [101]}, False),
        ({"y": ["a"]}, {}, False),
    ],
)
def test_an_answer_is_right_when_it_is_all_that_is_expected(expected: Any, answer: Any, right: bool) -> None:
    assert is_right(expected, answer) is right


def without_a_pipeline(source: Path, sample: bytes, value: Any = None) -> None:
    """A release whose model takes and gives tensors."""
    edit(source, '[{ op = "decode" }, { op = "layout", color = "BGR", order = "NCHW" }]', "[]")
    edit(source, '[{ op = "ctc_text" }]', "[]")
    for name in ("selection", "golden"):
        line = {"file": f"{name}.json", "expect": {"y": [1.0]} if value is None else value}
        (source / f"{name}.jsonl").write_text(json.dumps(line))
        (source / f"{name}.json").write_bytes(sample + b" " * len(name))
    edit(source, 'calibration = "calibration.jsonl"', "")
    edit(source, '"static"', '"none"')


REQUEST = b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [0.5]}]}'


def test_without_a_pipeline_a_sample_is_a_request_that_expects_outputs(source: Path) -> None:
    without_a_pipeline(source, REQUEST)
    edit(source, "exact_match", "agreement")
    release, files = read_source(source)
    assert (release.quality, release.sets.golden[0].expect) == ("agreement", {"y": [1.0]})
    assert Release.from_json(release.to_json(), "manifest") == release
    assert source / "golden.json" in files.values()


@pytest.mark.parametrize(
    ("sample", "value", "sentence"),
    [
        (b"\x89PNG\r\n\x1a\n", None, r"selection\.json is no V2 inference request in JSON, .* is not JSON"),
        (b"{}", None, r"selection\.json is no V2 inference request in JSON, .* 'inputs' is missing"),
        (REQUEST, "AB", "answers with the model's own outputs; expect an object of values by output"),
    ],
)
def test_without_a_pipeline_other_samples_are_refused(
    source: Path, sample: bytes, value: Any, sentence: str
) -> None:
    without_a_pipeline(source, sample, value)
    assert re.search(sentence, refused(source))


def test_a_pipeline_takes_images_alone(source: Path) -> None:
    (source / "golden" / "0.png").write_bytes(REQUEST)
    assert re.search(r"0\.png is no PNG or JPEG image", refused(source))


def share_an_image(source: Path) -> None:
    shutil.copy(source / "calibration" / "1.png", source / "golden" / "0.png")


def empty_the_golden_set(source: Path) -> None:
    (source / "golden.jsonl").write_text("\n")


def lose_an_image(source: Path) -> None:
    (source / "golden" / "1.png").unlink()


def break_a_line(source: Path) -> None:
    (source / "golden.jsonl").write_text("golden/0.png AB\n")


def misspell_a_sample(source: Path) -> None:
    (source / "selection.jsonl").write_text('{"file": "selection/0.png", "expected": "AB"}\n')


def empty_the_model(source: Path) -> None:
    (source / "model.onnx").write_bytes(b"")


def spoil_the_labels(source: Path) -> None:
    (source / "labels.txt").write_bytes(b"\xff\n")


def remove_the_toml(source: Path) -> None:
    (source / "release.toml").unlink()


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        (share_an_image, "the calibration and golden sets share 1 sample: golden/0.png;"),
        (empty_the_golden_set, "the golden set is empty"),
        (lose_an_image, "golden.jsonl, line 2: the file golden/1.png is missing"),
        (break_a_line, 'golden.jsonl, line 1: this is no JSON object, expected {"file"'),
        (misspell_a_sample, "selection.jsonl, line 1: unknown key 'expected'; did you mean 'expect'"),
        (empty_the_model, "the file model.onnx is empty"),
        (spoil_the_labels, "labels.txt is not UTF-8"),
        (remove_the_toml, r"release\.toml: there is no such file"),
    ],
)
def test_a_mistake_in_the_files_is_named(
    source: Path, mistake: Callable[[Path], None], sentence: str
) -> None:
    mistake(source)
    assert re.search(sentence, refused(source))


def spoil(manifest: Dict[str, Any]) -> bytes:
    return json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def test_a_manifest_with_a_mistake_names_where_it_came_from(source: Path) -> None:
    manifest = json.loads(read_source(source)[0].to_json())
    for change, sentence in (
        ({"schema": 2}, "depot: schema is 2"),
        ({"extra": 1}, "depot: unknown key 'extra'"),
        (
            {"model": {"sha256": "../../etc/passwd", "size": 1}},
            "depot, model: '../../etc/passwd' is no sha256",
        ),
        ({"sets": {**manifest["sets"], "golden": []}}, "depot: the golden set is empty"),
        ({"sets": {**manifest["sets"], "golden": manifest["sets"]["selection"]}}, "sets share 2 samples"),
    ):
        with pytest.raises(InputError, match=sentence):
            Release.from_json(spoil({**manifest, **change}), "depot")
    for data in (b"not json", b"[]\n"):
        with pytest.raises(InputError, match=r"^depot: "):
            Release.from_json(data, "depot")
