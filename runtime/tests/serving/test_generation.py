from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest
import toys
from toys import Toy

from edgeai_runtime.errors import BackendError, EdgeAIError, InputError
from edgeai_runtime.serving.batching import Batching
from edgeai_runtime.serving.repository import load_generation
from edgeai_runtime.serving.tuning import Tuning

READER = Toy(toys.reader(), toys.READER, toys.LABELS)


def test_every_model_of_a_generation_is_loaded_and_warm(tmp_path: Path) -> None:
    directory = toys.write_generation(tmp_path / "7", {"reader": READER, "adder": Toy(toys.add_one())}, 7)
    told: List[str] = []
    generation = load_generation(directory, progress=told.append)
    assert generation.number == 7
    assert sorted(generation.models) == ["adder", "reader"]
    assert generation.models["reader"].infer_image(toys.picture("BA"))["text"][0] == "BA"
    assert generation.warmup_ms > 0
    assert told == ["loading adder 1.0.0", "loading reader 1.0.0"]


def test_a_generation_may_have_no_models(tmp_path: Path) -> None:
    assert load_generation(toys.write_generation(tmp_path, {})).models == {}


def test_keys_of_a_later_runtime_are_no_mistake(tmp_path: Path) -> None:
    toys.write_generation(tmp_path, {"reader": READER})
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "colour": "green"}))
    with (tmp_path / "runtime.toml").open("a") as file:
        file.write("batch = 4\n")
    assert list(load_generation(tmp_path).models) == ["reader"]


def _without(name: str) -> Callable[[Path], None]:
    return lambda directory: (directory / name).unlink()


def _dangling(directory: Path) -> None:
    model = directory / "models" / "reader" / "model.onnx"
    model.unlink()
    model.symlink_to(directory / "store" / "gone")


def _manifest(**changes: Any) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        manifest: Dict[str, Any] = json.loads((directory / "manifest.json").read_text())
        (directory / "manifest.json").write_text(json.dumps({**manifest, **changes}))

    return change


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (_without("manifest.json"), InputError, "no finished generation"),
        (_without("runtime.toml"), InputError, r"runtime\.toml"),
        (_without("models/reader/release.json"), InputError, r"release\.json: missing"),
        (_without("models/reader/labels.txt"), InputError, r"labels\.txt: missing, or it points to nothing"),
        (_dangling, InputError, r"model\.onnx: missing, or it points to nothing"),
        (lambda d: (d / "manifest.json").write_text("{"), InputError, "not JSON"),
        (lambda d: (d / "manifest.json").write_text("[]"), InputError, "schema 1 is expected"),
        (_manifest(schema=9), InputError, "schema 1 is expected"),
        (
            _manifest(models={"reader": {"version": "2.0.0"}}),
            InputError,
            r"this is reader 1\.0\.0, .* reader 2\.0\.0",
        ),
        (
            _manifest(models={"reader": {"version": "1.0.0", "engine": "magic"}}),
            InputError,
            "'magic' is unknown",
        ),
        (lambda d: (d / "models/reader/model.onnx").write_bytes(b"x"), BackendError, "does not load"),
    ],
)
def test_what_is_wrong_with_a_generation_is_said(
    tmp_path: Path, damage: Callable[[Path], None], error: type, message: str
) -> None:
    damage(toys.write_generation(tmp_path, {"reader": READER}))
    with pytest.raises(EdgeAIError, match=message) as caught:
        load_generation(tmp_path)
    assert isinstance(caught.value, error)
    assert str(tmp_path) in caught.value.message


def test_memory_that_a_model_took_before_admits_it_or_does_not(tmp_path: Path) -> None:
    directory = toys.write_generation(tmp_path / "generation", {"reader": READER})
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest["models"]["reader"]["fingerprint"] = "known"
    (directory / "manifest.json").write_text(json.dumps(manifest))
    assert list(load_generation(directory, Tuning(tmp_path / "none.json")).memory_mb) == ["reader"]
    tuning = Tuning(tmp_path / "tuning.json")
    tuning.keep("known", Batching(why="as the test says"), memory_mb=4e6, threads=1)
    with pytest.raises(BackendError, match=r"reader 1\.0\.0 needs 4000000 MiB of memory and \d+ are free"):
        load_generation(directory, tuning)
