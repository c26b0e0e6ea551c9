"""Files that the disk spoilt: found where they are used, named, and mended by the same commands."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any, Callable

import pytest
from factory import ENVIRONMENT, Factory

from edgeai_runtime.trust.store import blob_path

RELEASE = ["label-reader", "1.0.0"]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    spoil(path, bytes(data))


def truncate(path: Path) -> None:
    spoil(path, path.read_bytes()[:-7])


def empty(path: Path) -> None:
    spoil(path, b"")


def spoil(path: Path, data: bytes) -> None:
    path.write_bytes(data)


DAMAGE = [flip, truncate, empty, Path.unlink]
ROTTEN = pytest.mark.parametrize("damage", DAMAGE, ids=["flipped bit", "truncated", "empty", "missing"])


def end_child(device: Factory) -> int:
    pid = int(device.bench.status()["child_pid"])
    os.kill(pid, signal.SIGKILL)
    return pid


def named(device: Factory, path: Path) -> None:
    """`verify` and, after the child had to start again, `status` name the file."""
    said = device.edgeai("verify")
    assert said.status == 1
    assert said.answer["error"]["details"]["damaged"] == [str(path)]
    assert str(path) in said.error
    end_child(device)
    device.wait(lambda s: any(path.name in alarm for alarm in s["alarms"]), f"an alarm that names {path}")


def mended(device: Factory) -> None:
    """The commands of a rollout of what is confirmed already mend it, and it serves."""
    device.must("fetch", *RELEASE)
    assert device.must("trial", "--release", *RELEASE)["changed"]
    device.wait(lambda s: s["phase"] == "confirmed" and s["child_pid"], "the generation to serve")
    assert device.answers() == "1.0.0"
    device.must("verify")
    assert not device.must("fetch", *RELEASE)["changed"]
    assert not device.must("trial", "--release", *RELEASE)["changed"]


@ROTTEN
@pytest.mark.parametrize("name", ["models/label-reader/model.onnx", "models/label-reader/release.json"])
def test_a_file_of_the_generation_that_serves(
    factory: Factory, name: str, damage: Callable[[Path], None]
) -> None:
    path = factory.paths.generation(2) / name
    damage(path.resolve())
    named(factory, path)
    mended(factory)


@pytest.mark.parametrize("name", ["models/label-reader/labels.txt", "runtime.toml"])
def test_another_file_of_it(factory: Factory, name: str) -> None:
    path = factory.paths.generation(2) / name
    flip(path.resolve())
    named(factory, path)
    if name == "runtime.toml":
        assert factory.must("trial", "--release", *RELEASE)["changed"]
    else:
        assert factory.must("fetch", *RELEASE)["changed"]
    factory.wait(lambda s: s["phase"] == "confirmed" and s["child_pid"], "the generation to serve")
    factory.must("verify")


@pytest.mark.parametrize("damage", [truncate, empty, Path.unlink])
@pytest.mark.parametrize("name", ["manifest.json", "manifest.copy.json"])
def test_a_manifest_has_a_copy(factory: Factory, name: str, damage: Callable[[Path], None]) -> None:
    path = factory.paths.generation(2) / name
    damage(path)
    pid = end_child(factory)
    status = factory.wait(lambda s: s["child_pid"] not in (None, pid), "the generation to serve")
    assert any("its copy is used" in alarm for alarm in status["alarms"]) == (name == "manifest.json")
    assert factory.answers() == "1.0.0"
    assert factory.edgeai("verify").answer["error"]["details"]["damaged"] == [str(path)]
    assert factory.must("trial", "--release", *RELEASE)["changed"]
    factory.must("verify")


def test_where_a_generation_is_damaged_the_one_confirmed_before_serves(factory: Factory) -> None:
    update(factory, "1.1.0")
    model = factory.paths.generation(3) / "models/label-reader/model.onnx"
    flip(model.resolve())
    end_child(factory)
    factory.bench.wait_confirmed(2)
    assert factory.answers() == "1.0.0"
    status = factory.must("status")
    assert (status["verdict"], status["last_reverted"]["generation"]) == ("reverted", 3)
    assert f"{model}: damaged" in status["reason"]
    update(factory, "1.1.0")
    assert (factory.answers(), factory.bench.status()["generation"]) == ("1.1.0", 3)
    factory.must("verify")


def update(device: Factory, version: str) -> None:
    device.must("fetch", "label-reader", version)
    device.must("trial", "--release", "label-reader", version)
    device.must("confirm")
    device.bench.wait_served(version)


def test_a_damaged_sample_takes_no_generation_back(factory: Factory) -> None:
    (sample,) = load_samples(factory)
    path = blob_path(factory.paths, sample["sample"])
    flip(path)
    pid = end_child(factory)
    status = factory.wait(lambda s: s["child_pid"] not in (None, pid), "the generation to serve")
    (alarm,) = [alarm for alarm in status["alarms"] if "sample" in alarm]
    assert f"{sample['sample'][:12]}… is damaged" in alarm
    assert factory.must("fetch", *RELEASE)["changed"]
    factory.must("verify")


def load_samples(device: Factory) -> Any:
    return json.loads((device.paths.generation(2) / "probe.json").read_bytes())["samples"]


@ROTTEN
def test_a_blob_in_the_store(factory: Factory, damage: Callable[[Path], None]) -> None:
    record = factory.paths.trust / "releases/label-reader/1.0.0.json"
    graph = blob_path(factory.paths, json.loads(record.read_bytes())["model"]["sha256"])
    damage(graph)
    for kept in factory.paths.conversions.iterdir():
        kept.unlink()
    assert factory.edgeai("convert", *RELEASE).error.endswith(
        "in this device's store; fetch the release first."
    )
    assert factory.must("fetch", *RELEASE, "--check")["changed"]
    assert factory.must("fetch", *RELEASE)["changed"]
    factory.must("convert", *RELEASE)
    factory.must("verify")


@ROTTEN
def test_the_record_of_a_release(factory: Factory, damage: Callable[[Path], None]) -> None:
    record = factory.paths.trust / "releases/label-reader/1.0.0.json"
    damage(record)
    if damage is flip:  # still a record
        assert f"remove {record}" in factory.edgeai("fetch", *RELEASE).error
        record.unlink()
    assert factory.edgeai("convert", *RELEASE).status == 1
    assert factory.must("fetch", *RELEASE)["changed"]
    factory.must("convert", *RELEASE)


@ROTTEN
@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp"])
def test_what_it_remembers_of_the_depot(factory: Factory, role: str, damage: Callable[[Path], None]) -> None:
    (memory,) = factory.paths.trust.glob(f"*/{role}.json")
    damage(memory)
    assert factory.edgeai("status").status == 0
    factory.must("fetch", "label-reader", "1.1.0")


@ROTTEN
def test_the_list_of_revoked_releases(factory: Factory, damage: Callable[[Path], None]) -> None:
    kept = factory.paths.trust / "revoked.json"
    kept.write_text('{"other": {"1.0.0": "reads 8 as B"}}')
    damage(kept)
    factory.must("status")
    factory.must("fetch", *RELEASE)
    factory.must("convert", *RELEASE)


def test_an_environment_that_does_not_import(factory: Factory, tmp_path: Path) -> None:
    broken = tmp_path / "site-packages"
    broken.mkdir()
    (broken / "numpy.py").write_bytes(b"def array(:\n")
    python = factory.paths.environment(ENVIRONMENT) / "bin/python"
    right = python.read_text()
    python.write_text(right.replace("exec ", f'PYTHONPATH="{broken}" exec '))
    end_child(factory)
    damage = "this environment is damaged (SyntaxError: "
    factory.wait(lambda s: any(damage in alarm for alarm in s["alarms"]), "an alarm")
    python.write_text(right)
    factory.wait(lambda s: s["phase"] == "confirmed" and s["child_pid"], "the generation to serve")
