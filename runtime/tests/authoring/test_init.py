"""An author begins with a release that is complete."""

from __future__ import annotations

from pathlib import Path

import pytest
from zoo import DRAWS, model

from edgeai_runtime.authoring.init import init
from edgeai_runtime.cli import main
from edgeai_runtime.errors import InputError
from edgeai_runtime.release import read_source


@pytest.mark.parametrize("kind", DRAWS)
def test_a_release_of_any_model_is_complete(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(model(kind, tmp_path))
    init(tmp_path / "My Model", file)
    release, _files = read_source(tmp_path / "My Model")
    assert (release.name, release.quality) == ("my-model", "agreement")
    assert {recipe.strategy for recipe in release.recipes.values()} == {"auto"}
    assert len(release.sets.golden) == len(release.sets.selection) == len(release.sets.calibration) == 8


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("work of a week")
    with pytest.raises(InputError, match="this is not empty"):
        init(tmp_path, tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_the_command_says_what_to_do_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(model("of_many", tmp_path))
    assert main(["release", "init", str(tmp_path / "one"), "--model", str(file)]) == 0
    assert f"edgeai release check {tmp_path / 'one'}" in capsys.readouterr().out
    assert main(["release", "check", str(tmp_path / "one")]) == 0
    (tmp_path / "text.onnx").write_text("no model")
    assert main(["release", "init", str(tmp_path / "two"), "--model", str(tmp_path / "text.onnx")]) == 1
    assert "does not load this model" in capsys.readouterr().err
    assert not (tmp_path / "two").exists()
