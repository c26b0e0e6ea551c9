"""Wheels that the user brings: locked like the others, in the place of those they replace, or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

import pytest

pytest.importorskip("cryptography", reason="signing needs cryptography (the extra 'workstation')")
pytest.importorskip("packaging", reason="requirements are read by packaging (the extra 'workstation')")

from making import write_wheel
from test_build_bundle import lock_of, refused
from workstation import Workstation

from edgeai_runtime.errors import InputError
from edgeai_runtime.release import file_sha256
from edgeai_runtime.trust.store import blob_name

CPU, JETSON = "aarch64-cp311-cpu", "aarch64-cp311-jetson"
FITS = "cp311-cp311-linux_aarch64"


def own_wheel(directory: Path, name: str, version: str = "1.0", tag: str = FITS, needs: str = "") -> Path:
    """A wheel with these tags that needs something."""
    plain = write_wheel(directory, name, {f"{name}.py": "OWN = True\n"}, version=version, needs=needs)
    return plain.replace(directory / f"{name}-{version}-{tag}.whl")


def names(lock: Dict[str, Any]) -> List[str]:
    return [wheel["filename"].split("-")[0] for wheel in lock["wheels"]]


def test_they_are_in_the_lock_and_in_the_bundle(workstation: Workstation, tmp_path: Path) -> None:
    wheel = own_wheel(tmp_path / "nvidia", "pycuda")
    workstation.build(targets=[CPU, JETSON], own_wheels={JETSON: tmp_path / "nvidia"})
    lock = lock_of(workstation, JETSON)
    assert names(lock) == ["edgeai_runtime", "native", "one", "pycuda", "two"]
    assert (lock["name"], lock["python"], lock["accelerator"]) == (JETSON, "3.11", "jetson")
    sha256 = file_sha256(wheel)
    assert {"filename": wheel.name, "sha256": sha256, "size": wheel.stat().st_size} in lock["wheels"]
    assert (workstation.output / blob_name(sha256)).read_bytes() == wheel.read_bytes()
    assert "pycuda" not in names(lock_of(workstation, CPU))


def test_they_replace_those_of_the_same_package(workstation: Workstation, tmp_path: Path) -> None:
    own_wheel(tmp_path / "own", "one", version="2.0")
    workstation.build(targets=[CPU], own_wheels={CPU: tmp_path / "own"})
    wheels = [wheel["filename"] for wheel in lock_of(workstation, CPU)["wheels"]]
    assert [name for name in wheels if name.startswith("one")] == [f"one-2.0-{FITS}.whl"]


def test_onnxruntime_for_a_gpu_replaces_onnxruntime() -> None:
    from edgeai_runtime.bundle.own_wheels import merge
    from edgeai_runtime.environments.lock import Wheel

    locked = [Wheel("onnxruntime-1.23.2-cp310-cp310-manylinux_2_27_aarch64.whl", "a", 1)]
    own = [Wheel("onnxruntime_gpu-1.23.0-cp310-cp310-linux_aarch64.whl", "b", 1)]
    assert merge(locked, own) == own


def test_the_same_again_changes_nothing_and_another_wheel_does(
    workstation: Workstation, tmp_path: Path
) -> None:
    given = {"targets": [JETSON], "own_wheels": {JETSON: tmp_path / "nvidia"}}
    own_wheel(tmp_path / "nvidia", "pycuda")
    assert workstation.build(**given).changed
    assert not workstation.build(**given).changed
    own_wheel(tmp_path / "nvidia", "cuda_python")
    assert workstation.build(**given).changed


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("cp310-cp310-linux_aarch64", "this wheel is for cp310-cp310 on linux_aarch64, and the target"),
        ("cp311-cp311-manylinux_2_28_x86_64", "is Python 3.11 on aarch64; put the wheel that fits there"),
    ],
)
def test_one_that_does_not_fit_the_target_is_refused(
    workstation: Workstation, tmp_path: Path, tag: str, said: str
) -> None:
    own_wheel(tmp_path / "nvidia", "pycuda", tag=tag)
    given = {"targets": [JETSON], "own_wheels": {JETSON: tmp_path / "nvidia"}}
    assert said in refused(workstation, InputError, **given)


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        ("mako", "it needs mako, and the lock does not have it; put a wheel of mako that fits"),
        ("one<1", "it needs one<1, and the lock has 1.0"),
        ("mako; python_version < '3.9'", ""),
        ("mako; extra == 'opengl'", ""),
        ("one>=1.0", ""),
    ],
)
def test_one_that_needs_what_is_not_there_is_refused(
    workstation: Workstation, tmp_path: Path, needs: str, said: str
) -> None:
    own_wheel(tmp_path / "nvidia", "pycuda", needs=needs)
    given: Dict[str, Any] = {"targets": [JETSON], "own_wheels": {JETSON: tmp_path / "nvidia"}}
    if said:
        assert said in refused(workstation, InputError, **given)
    else:
        assert workstation.build(**given).changed


def test_two_of_one_package_are_refused(workstation: Workstation, tmp_path: Path) -> None:
    for version in ("1.0", "2.0"):
        own_wheel(tmp_path / "nvidia", "pycuda", version=version)
    given = {"targets": [JETSON], "own_wheels": {JETSON: tmp_path / "nvidia"}}
    assert "are of one package; keep one of them" in refused(workstation, InputError, **given)


def test_a_directory_without_any_is_refused(workstation: Workstation, tmp_path: Path) -> None:
    given = {"targets": [JETSON], "own_wheels": {JETSON: tmp_path / "empty"}}
    assert f"there are no wheels for {JETSON} here" in refused(workstation, InputError, **given)


def test_wheels_for_what_is_no_target_are_refused(workstation: Workstation, tmp_path: Path) -> None:
    given = {"targets": [CPU], "own_wheels": {JETSON: tmp_path}}
    assert f"Wheels are given for {JETSON}, and the targets are {CPU}" in refused(
        workstation, InputError, **given
    )


def test_a_target_that_needs_some_and_has_none_is_refused(workstation: Workstation) -> None:
    said = refused(workstation, InputError, targets=[JETSON])
    assert said.endswith(
        f"did you mean '{CPU}'? For wheels of your own name their directory in bundle_wheels."
    )


def test_a_damaged_one_is_refused(workstation: Workstation, tmp_path: Path) -> None:
    own_wheel(tmp_path / "nvidia", "pycuda").write_bytes(b"half a whe")
    given = {"targets": [JETSON], "own_wheels": {JETSON: tmp_path / "nvidia"}}
    assert "this is no wheel, or a damaged one" in refused(workstation, InputError, **given)


def test_a_locks_glibc_is_what_its_wheels_need(workstation: Workstation, tmp_path: Path) -> None:
    workstation.build(targets=[CPU])
    assert lock_of(workstation, CPU)["glibc"] == "2.17"
    own_wheel(tmp_path / "own", "newer", tag="cp311-cp311-manylinux_2_35_aarch64")
    workstation.build(targets=[CPU], own_wheels={CPU: tmp_path / "own"})
    assert lock_of(workstation, CPU)["glibc"] == "2.35"


def test_the_command_takes_them_by_target(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from edgeai_runtime.cli import main

    words = ["--json", "bundle", "build", "--output", str(tmp_path / "out"), "--keys", str(tmp_path / "keys")]
    words += ["--cache", str(tmp_path / "cache"), "--runtime", str(tmp_path), "--target", CPU]
    assert main([*words, "--wheels", f"{JETSON}={tmp_path}"]) == 1
    assert "has no lock" in json.loads(capsys.readouterr().out)["error"]["message"]
    with pytest.raises(SystemExit):
        main([*words, "--wheels", JETSON])
    assert "is not TARGET=DIR" in capsys.readouterr().err
