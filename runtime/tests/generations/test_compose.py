"""A generation's directory: whole with its manifest, or nothing at all."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Dict, Tuple

import pytest
from toy import DEVICE, put, toy_release

from edgeai_runtime.errors import InputError
from edgeai_runtime.generations.compose import Composed, Placed, compose, discard, draft
from edgeai_runtime.generations.manifest import Manifest, ModelEntry, load_manifest
from edgeai_runtime.generations.state import read_state
from edgeai_runtime.generations.switching import new_models
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Recipe
from edgeai_runtime.trust.store import blob_path


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path)


def placed(paths: Paths, version: str = "1.0.0", artifact: bytes = b"graph", **options: Any) -> Placed:
    release = toy_release(paths, version, **options)
    blob = put(paths, artifact)
    entry = ModelEntry(version, release.digest, blob.sha256, "0" * 64, "onnxruntime", "fp32", 1.0)
    return Placed(entry, release)


def make(paths: Paths, environment: str = "e1", **models: Placed) -> Composed:
    named = {name.replace("_", "-"): model for name, model in models.items()}
    return compose(paths, DEVICE, draft(paths, DEVICE, environment, named, None), named)


def test_its_files_point_into_the_store_of_the_same_root(paths: Paths) -> None:
    made = make(paths, label_reader=placed(paths))
    directory = paths.generation(1) / "models" / "label-reader"
    assert made.made
    assert (directory / "model.onnx").read_bytes() == b"graph"
    assert (directory / "labels.txt").read_text().split() == ["A", "B", "C", "D"]
    moved = paths.root.parent / "moved"
    paths.root.rename(moved)
    assert (Paths(moved).generation(1) / "models" / "label-reader" / "model.onnx").read_bytes() == b"graph"


def test_the_same_content_is_not_made_twice(paths: Paths) -> None:
    make(paths, label_reader=placed(paths))
    make(paths, label_reader=placed(paths, "1.1.0"))
    again = make(paths, label_reader=placed(paths))
    assert (again.manifest.generation, again.made) == (1, False)
    assert sorted(directory.name for directory in paths.generations.iterdir()) == ["1", "2"]


@pytest.mark.parametrize("change", ["environment", "artifact", "threads"])
def test_other_content_is_another_generation(paths: Paths, change: str) -> None:
    make(paths, label_reader=placed(paths))
    others: Dict[str, Tuple[str, Placed]] = {
        "environment": ("e2", placed(paths)),
        "artifact": ("e1", placed(paths, artifact=b"another graph")),
        "threads": ("e1", placed(paths, recipe=Recipe(quantize="static", threads=2))),
    }
    environment, model = others[change]
    assert make(paths, environment, label_reader=model).manifest.generation == 2


def test_another_platform_is_another_generation_with_all_to_prove(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = {"label_reader": placed(paths)}
    monkeypatch.setattr("edgeai_runtime.generations.compose.system_versions", lambda: {"l4t": "36.4.3"})
    before = make(paths, **models).manifest
    assert load_manifest(paths, 1).platform == {"l4t": "36.4.3"}
    assert not make(paths, **models).made
    monkeypatch.setattr("edgeai_runtime.generations.compose.system_versions", lambda: {"l4t": "36.5.0"})
    after = make(paths, **models).manifest
    assert after.generation == 2
    assert new_models(after, before) == ["label-reader"]


def test_a_manifest_of_the_runtime_before_has_no_platform(paths: Paths) -> None:
    table = json.loads(make(paths, label_reader=placed(paths)).manifest.to_json())
    del table["platform"]
    assert Manifest.from_json(json.dumps(table).encode(), "manifest").platform == {}


def test_a_half_made_generation_is_removed_and_its_number_used(paths: Paths) -> None:
    make(paths, label_reader=placed(paths))
    half = paths.generation(2) / "models" / "label-reader"
    half.mkdir(parents=True)
    (half / "release.json").write_text("{}")
    assert make(paths, label_reader=placed(paths, "1.1.0")).manifest.generation == 2
    assert load_manifest(paths, 2).models["label-reader"].version == "1.1.0"


def test_a_number_that_history_knows_is_not_used_again(paths: Paths) -> None:
    history = [{"generation": 7, "outcome": "reverted", "reason": "x", "time": "t"}]
    state = {"schema": 1, "current": None, "confirmed": None, "trial": None, "history": history}
    paths.state.parent.mkdir(parents=True)
    paths.state.write_text(json.dumps(state))
    assert make(paths, label_reader=placed(paths)).manifest.generation == 8


def test_a_missing_blob_is_an_error_and_no_generation(paths: Paths) -> None:
    model = placed(paths)
    blob_path(paths, model.entry.artifact).unlink()
    with pytest.raises(InputError, match=r"model\.onnx is not in the store; fetch and convert"):
        make(paths, label_reader=model)
    assert not (paths.generation(1) / "manifest.json").exists()


def test_a_discarded_generation_is_gone(paths: Paths) -> None:
    make(paths, label_reader=placed(paths))
    discard(paths, 1)
    assert list(paths.generations.iterdir()) == []


def test_only_what_is_new_is_to_be_proved(paths: Paths) -> None:
    one, two = placed(paths), placed(paths, name="date-reader")
    before = make(paths, label_reader=one, date_reader=two).manifest
    newer = placed(paths, "1.1.0")
    assert new_models(make(paths, label_reader=newer, date_reader=two).manifest, before) == ["label-reader"]
    assert new_models(make(paths, "e2", label_reader=one, date_reader=two).manifest, before) == [
        "date-reader",
        "label-reader",
    ]
    assert new_models(before, None) == ["date-reader", "label-reader"]
    assert new_models(before, before) == []


def test_a_manifest_reads_as_it_was_written_and_passes_over_newer_keys(paths: Paths) -> None:
    manifest = make(paths, label_reader=placed(paths)).manifest
    assert Manifest.from_json(manifest.to_json(), "manifest.json") == manifest
    table = json.loads(manifest.to_json())
    table["later"] = True
    table["models"]["label-reader"]["later"] = True
    assert Manifest.from_json(json.dumps(table).encode(), "manifest.json") == manifest


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"schema": 2}', b'{"schema": 1}'])
def test_a_damaged_manifest_is_an_error_in_a_sentence(data: bytes) -> None:
    with pytest.raises(InputError, match=r"^2/manifest\.json: "):
        Manifest.from_json(data, "2/manifest.json")


def test_a_damaged_state_is_an_error_in_a_sentence(paths: Paths) -> None:
    paths.state.parent.mkdir(parents=True)
    paths.state.write_text('{"schema": 1}')
    with pytest.raises(InputError, match=r"state\.json: this is no keeper's state"):
        read_state(paths)


def test_a_device_without_state_never_served(paths: Paths) -> None:
    assert read_state(paths).current is None
    assert dataclasses.astuple(read_state(paths)) == (None, None, None, ())
