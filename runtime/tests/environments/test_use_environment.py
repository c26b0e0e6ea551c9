"""The device's commands come from the environment in use, and nobody but provisioning changes them."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import List

import pytest

from edgeai_runtime.environments import UseResult, use_environment
from edgeai_runtime.errors import BuildError
from edgeai_runtime.paths import Paths

LOCK = "ab" * 32


@pytest.fixture
def device(tmp_path: Path) -> Paths:
    """A device with an environment whose `edgeai` tells who runs it and with which arguments."""
    paths = Paths(tmp_path / "device")
    paths.var.mkdir(parents=True)
    write_environment(paths, LOCK, 'echo "$(id -u) $*"')
    return paths


def write_environment(paths: Paths, lock: str, line: str = "") -> None:
    """A complete environment; without a line one without the runtime."""
    binaries = paths.environment(lock) / "bin"
    binaries.mkdir(parents=True)
    (paths.environment(lock) / ".complete").write_text(lock)
    if line:
        (binaries / "edgeai").write_text(f"#!/bin/sh\n{line}\n")
        (binaries / "edgeai").chmod(0o755)


def installed(paths: Paths, *names: str) -> List[str]:
    return [f"installed {paths.bin / name}" for name in names]


def said(*command: object) -> str:
    return subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout


def test_the_commands_come_from_the_environment_and_the_keeper_from_the_runtime(device: Paths) -> None:
    result = use_environment(device, LOCK)
    assert result == UseResult(True, installed(device, "edgeai", "keeper"))
    (line,) = device.journal.read_text().splitlines()
    assert (json.loads(line)["event"], json.loads(line)["environment"]) == ("environment_used", LOCK)
    told = said(device.bin / "edgeai", "status", "two words")
    assert told == f"{os.getuid()} --root {device.root} status two words\n"
    command = [sys.executable, "-I", "-S", device.bin / "keeper", "--help"]  # the standard library is enough
    assert "Keep a device's generations serving" in said(*command)
    assert {path.stat().st_mode & 0o777 for path in device.bin.iterdir()} == {0o755}


def test_the_same_again_changes_nothing(device: Paths) -> None:
    use_environment(device, LOCK)
    assert use_environment(device, LOCK) == UseResult(False, [])


def test_the_keeper_is_compiled_and_equal_in_every_process(device: Paths) -> None:
    """Compiled, it is some 4 MB smaller; were it not equal, provisioning would restart it each time."""
    use_environment(device, LOCK)
    names = zipfile.ZipFile(device.bin / "keeper").namelist()
    assert {f"{name[:-3]}.pyc" for name in names if name.endswith(".py")} < set(names)
    program = "import asyncio, edgeai_runtime.cli, sys; from edgeai_runtime.environments import commands; "
    program += "sys.stdout.write(commands.keeper_archive().hex())"
    assert said(sys.executable, "-c", program) == (device.bin / "keeper").read_bytes().hex()


def test_another_python_takes_the_keepers_source(device: Paths) -> None:
    use_environment(device, LOCK)
    with zipfile.ZipFile(device.bin / "keeper") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(device.bin / "keeper", "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, b"\0\0\0\0" + data[4:] if name.endswith(".pyc") else data)
    assert "Keep a device's" in said(sys.executable, device.bin / "keeper", "--help")


def test_only_a_command_that_differs_is_written_again(device: Paths) -> None:
    use_environment(device, LOCK)
    kept = (device.bin / "keeper").stat()
    (device.bin / "edgeai").write_text("something else")
    assert use_environment(device, LOCK).actions == installed(device, "edgeai")
    assert (device.bin / "keeper").stat().st_ino == kept.st_ino


def test_a_command_that_others_may_change_is_written_again(device: Paths) -> None:
    use_environment(device, LOCK)
    (device.bin / "keeper").chmod(0o775)
    assert use_environment(device, LOCK).actions == installed(device, "keeper")


def test_check_predicts_and_changes_nothing(device: Paths) -> None:
    forecast = use_environment(device, LOCK, check=True)
    assert forecast.actions == [f"would install {device.bin / name}" for name in ("edgeai", "keeper")]
    assert not device.bin.exists()
    assert use_environment(device, "cd" * 32, check=True) == UseResult(False, [])


def test_an_environment_without_the_runtime_changes_no_command(device: Paths) -> None:
    write_environment(device, "cd" * 32)
    assert use_environment(device, "cd" * 32) == UseResult(False, [])


def test_an_environment_that_is_not_complete_is_refused(device: Paths) -> None:
    (device.environment(LOCK) / ".complete").unlink()
    with pytest.raises(BuildError, match="there is no complete environment; build it first"):
        use_environment(device, LOCK)
    assert not device.bin.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_starts_nothing_that_the_owner_could_have_changed(device: Paths) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(device.var, nobody.pw_uid, nobody.pw_gid)
    for directory in (device.root, *device.root.parents):
        if directory.owner() == "root" and directory.stat().st_mode & 0o777 == 0o700:
            directory.chmod(0o711)  # pytest's, for whom nobody is nobody
    use_environment(device, LOCK)
    assert said(device.bin / "edgeai", "status") == f"{nobody.pw_uid} --root {device.root} status\n"
    assert {path.owner() for path in device.bin.iterdir()} == {"root"}
