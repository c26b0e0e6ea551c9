"""A bare controller: a Python without packages, a bundle as it came on a stick, one digest, one command."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest

pytest.importorskip("cryptography", reason="signing needs cryptography (the extra 'workstation')")

import edgeai_keeper
from making import pip_hash, write_collection, write_installer_wheel, write_wheel
from mirror import Mirror
from workstation import Workstation

import edgeai_runtime
from edgeai_runtime.debian import this_suite
from edgeai_runtime.environments.lock import Lock
from edgeai_runtime.errors import InputError
from edgeai_runtime.trust import show_bundle
from edgeai_runtime.trust.store import blob_name

MACHINE = f"{platform.machine()}-cp{sys.version_info[0]}{sys.version_info[1]}"
PLAYS = (
    "import sys\n\ndef main():\n    import ansible_collections.edgeai.fleet as fleet\n    print(fleet.WORD)\n"
)
ANSIBLE = {
    "ansible/__init__.py": "",
    "ansible/cli.py": PLAYS,
    "ansible/executor/__init__.py": "",
    "ansible/executor/playbook_executor.py": "",
}


def offer_controller(workstation: Workstation, machine: str = MACHINE) -> None:
    """Let it have a lock for controllers, a collection, and the runtime as it really is."""
    installer = write_installer_wheel(workstation.index)
    ansible = write_wheel(
        workstation.index, "ansible_core", ANSIBLE, scripts="ansible-playbook = ansible.cli:main"
    )
    locks = workstation.runtime / "locks"
    (locks / "installer.txt").write_text(pip_hash(installer))
    (locks / f"controller-{machine}.txt").write_text(pip_hash(ansible))
    ignored = shutil.ignore_patterns("*.pyc", "__pycache__")
    for package in (edgeai_keeper, edgeai_runtime):
        there = workstation.runtime / "src" / package.__name__
        shutil.rmtree(there)
        shutil.copytree(str(Path(str(package.__file__)).parent), str(there), ignore=ignored)
    write_collection(workstation.runtime.parent, {"__init__.py": "WORD = 'played'\n"})


class Bare:
    """A machine with nothing but Python: the bundle on a stick, and where its controller goes."""

    def __init__(self, place: Path, bundle: Path, command: str) -> None:
        self.stick = place / "stick"
        self.into = place / "controller"
        self.command = command
        shutil.copytree(str(bundle), str(self.stick))
        self._tools = place / "bin"
        self._tools.mkdir()
        python = self._tools / "python3"
        python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')  # -S: no packages
        python.chmod(0o755)
        self.path = f"{self._tools}{os.pathsep}/usr/bin{os.pathsep}/bin"

    def has_no_ssh(self, *tools: str) -> None:
        """Leave it the shell, sha256sum, Python and `tools`, and no dpkg that knows of any package."""
        for tool in ("sh", "sha256sum", *tools):
            (self._tools / tool).symlink_to(str(shutil.which(tool)))
        (self._tools / "dpkg-query").write_text("#!/bin/sh\nexit 1\n")
        (self._tools / "dpkg-query").chmod(0o755)
        self.path = str(self._tools)

    def types(self, *more: str) -> Tuple[int, str]:
        """The exit status and output of the command that the bundle told, with `more` words."""
        line = " ".join([self.command, "--into", str(self.into), *more])
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=self.stick,
            env={"PATH": self.path, "LC_ALL": "C.UTF-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    def plays(self) -> str:
        """What its ansible-playbook says."""
        program = str(self.into / "current" / "bin" / "ansible-playbook")
        return subprocess.run([program], stdout=subprocess.PIPE, text=True, check=True).stdout

    def content(self) -> List[str]:
        return sorted(str(path.relative_to(self.into)) for path in self.into.rglob("*"))

    def files(self) -> Dict[str, Path]:
        """The files of the bundle that a controller takes, by what they are."""
        metadata = json.loads(max(self.stick.glob("metadata/*.targets.json")).read_bytes())["signed"][
            "targets"
        ]
        digest = metadata[f"locks/controller-{MACHINE}.json"]["hashes"]["sha256"]
        lock_path = self.stick / blob_name(digest)
        lock = Lock.from_json(lock_path.read_bytes(), "lock")
        wheels = {wheel.filename.split("-")[0]: wheel for wheel in (lock.installer, *lock.wheels)}
        return {
            "starter": self.stick / "controller.pyz",
            "root": self.stick / "metadata" / "1.root.json",
            "lock": lock_path,
            **{name: self.stick / blob_name(wheel.sha256) for name, wheel in wheels.items()},
        }


@pytest.fixture(scope="module")
def packed(warm: Any, tmp_path_factory: pytest.TempPathFactory) -> Tuple[Path, str]:
    """A bundle with a controller for this very machine, and the command it told."""
    place = tmp_path_factory.mktemp("packed")
    for name in ("cache", "runtime", "index", "1.0.0"):
        shutil.copytree(str(warm.output.parent / name), str(place / name))
    workstation = Workstation(place)
    offer_controller(workstation)
    with pytest.MonkeyPatch.context() as patch:
        workstation.offline(patch)
        result = workstation.build(controllers=[MACHINE])
    return workstation.output, result.controller_command


@pytest.fixture
def bare(packed: Tuple[Path, str], tmp_path: Path) -> Bare:
    return Bare(tmp_path, *packed)


def test_one_command_sets_a_controller_up_that_plays(bare: Bare) -> None:
    status, said = bare.types()
    assert status == 0, said
    assert "controller.pyz: OK\n" in said
    assert f"set up controller-{MACHINE} in {bare.into}; `rm -r {bare.into}` removes it\n" in said
    assert f"ansible_playbook: {bare.into}/current/bin/ansible-playbook\n" in said
    assert bare.plays() == "played\n"
    assert (bare.into / "root.json").read_bytes() == bare.files()["root"].read_bytes()
    assert sorted(path.name for path in bare.into.iterdir()) == ["current", "envs", "root.json"]


def test_the_same_again_changes_nothing(bare: Bare) -> None:
    bare.types()
    before = bare.content()
    status, said = bare.types()
    assert (status, "set up" in said, bare.content()) == (0, False, before)


def test_a_check_predicts_and_changes_nothing(bare: Bare) -> None:
    status, said = bare.types("--check")
    assert (status, bare.into.exists()) == (0, False)
    assert f"would set up controller-{MACHINE} in {bare.into}" in said
    bare.types()
    assert "would" not in bare.types("--check")[1]


def test_what_was_broken_off_is_finished(bare: Bare) -> None:
    bare.types()
    (environment,) = (bare.into / "envs").iterdir()
    (environment / ".complete").unlink()
    (bare.into / "current").unlink()
    (bare.into / "envs" / "wheels").mkdir()
    (bare.into / "envs" / "wheels" / "partial").write_text("cut off")
    assert bare.types()[0] == 0
    assert bare.plays() == "played\n"
    assert [path.name for path in (bare.into / "envs").iterdir()] == [environment.name]


def test_a_newer_controller_takes_the_place_of_the_one_before(
    bare: Bare, workstation: Workstation, tmp_path: Path
) -> None:
    bare.types()
    (old,) = (bare.into / "envs").iterdir()
    offer_controller(workstation)
    write_collection(workstation.runtime.parent, {"__init__.py": "WORD = 'played anew'\n"})
    command = workstation.build(controllers=[MACHINE]).controller_command
    (tmp_path / "newer").mkdir()
    newer = Bare(tmp_path / "newer", workstation.output, command)
    newer.into = bare.into
    assert newer.types()[0] == 0
    assert newer.plays() == "played anew\n"
    assert not old.exists()


@pytest.mark.parametrize(
    ("spoilt", "sentence"),
    [
        ("starter", "controller.pyz: FAILED"),
        ("root", "metadata/1.root.json: this is another root of trust than was signed"),
        ("lock", "this has other content than was signed"),
        ("installer", "the content is not what was signed"),
        ("ansible_core", "the content is not what was signed"),
        ("edgeai_fleet", "the content is not what was signed"),
        ("edgeai_runtime", "the content is not what was signed"),
    ],
)
def test_a_flipped_byte_anywhere_is_refused_before_anything_of_it_runs(
    bare: Bare, spoilt: str, sentence: str
) -> None:
    path = bare.files()[spoilt]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    status, said = bare.types()
    assert status == 1
    assert sentence in said
    assert "Traceback" not in said
    assert not list(bare.into.rglob("python*"))


def test_another_python_hears_for_which_there_is_a_controller(bare: Bare, workstation: Workstation) -> None:
    other = "x86_64-cp399"
    offer_controller(workstation, other)
    command = workstation.build(controllers=[other]).controller_command
    shutil.rmtree(str(bare.stick))
    shutil.copytree(str(workstation.output), str(bare.stick))
    bare.command = command
    status, said = bare.types()
    assert (status, bare.into.exists()) == (1, False)
    assert f"This is Python {sys.version_info[0]}.{sys.version_info[1]} on {platform.machine()}, " in said
    assert f"and the bundle sets up {other}; " in said


def test_a_directory_of_somebody_else_is_left_alone(bare: Bare) -> None:
    bare.into.mkdir()
    (bare.into / "letter.txt").write_text("dear")
    status, said = bare.types()
    assert (status, bare.content()) == (1, ["letter.txt"])
    assert f"{bare.into}: there is something else in this directory" in said


def test_a_place_that_cannot_be_written_is_named(bare: Bare) -> None:
    bare.into = Path("/proc/controller")
    status, said = bare.types()
    assert status == 1
    assert "/proc/controller: cannot be written (" in said


def test_that_there_is_no_ssh_is_said(bare: Bare) -> None:
    bare.has_no_ssh()
    status, said = bare.types()
    assert (status, bare.plays()) == (0, "played\n")
    assert "There is no ssh here, and the bundle brings no openssh-client for this system" in said


@pytest.mark.skipif(not shutil.which("apt-get"), reason="collecting Debian packages needs apt")
def test_ssh_comes_out_of_the_bundle_where_there_is_none(workstation: Workstation, tmp_path: Path) -> None:
    suite = this_suite()
    mirror = Mirror(tmp_path / "mirror", suite.partition("-")[2])
    mirror.add("openssh-client", Depends="libc6")
    offer_controller(workstation)
    packages = {"debian": [suite], "debian_packages": ["openssh-client"], "debian_sources": mirror.sources}
    command = workstation.build(controllers=[MACHINE], **packages).controller_command
    bare = Bare(tmp_path, workstation.output, command)
    bare.has_no_ssh("dpkg")
    assert "would install openssh-client from the bundle" in bare.types("--check")[1]


def test_its_wheels_are_signed_like_the_rest(packed: Tuple[Path, str]) -> None:
    bundle, _command = packed
    assert show_bundle(f"file://{bundle}", bundle / "metadata" / "1.root.json")["controllers"] == [MACHINE]


def test_a_bundle_with_it_is_built_once(workstation: Workstation) -> None:
    offer_controller(workstation)
    assert workstation.build(check=True, controllers=[MACHINE]).controller_command is None
    first = workstation.build(controllers=[MACHINE])
    before = {path: path.stat().st_mtime_ns for path in workstation.output.rglob("*")}
    again = workstation.build(controllers=[MACHINE])
    assert (again.changed, again.controller_command) == (False, first.controller_command)
    assert {path: path.stat().st_mtime_ns for path in workstation.output.rglob("*")} == before


def test_a_starter_that_was_damaged_is_written_again(workstation: Workstation) -> None:
    offer_controller(workstation)
    workstation.build(controllers=[MACHINE])
    starter = workstation.output / "controller.pyz"
    right = starter.read_bytes()
    starter.write_bytes(right[:-1])
    assert workstation.build(controllers=[MACHINE]).changed
    assert starter.read_bytes() == right


def test_a_bundle_that_needs_none_has_none(workstation: Workstation) -> None:
    offer_controller(workstation)
    workstation.build(controllers=[MACHINE])
    result = workstation.build()
    assert (result.changed, result.controllers, result.controller_command) == (True, [], None)
    assert not (workstation.output / "controller.pyz").exists()
    assert not list(workstation.output.rglob(f"*controller-{MACHINE}*"))


def test_the_starter_is_the_runtimes_wheel_with_one_file_more(packed: Tuple[Path, str]) -> None:
    with zipfile.ZipFile(packed[0] / "controller.pyz") as archive:
        assert archive.namelist()[-1] == "__main__.py"
        assert archive.testzip() is None


def test_a_controller_without_a_lock_is_told_the_nearest(workstation: Workstation) -> None:
    offer_controller(workstation, "x86_64-cp311")
    with pytest.raises(InputError, match="did you mean 'x86_64-cp311'"):
        workstation.build(controllers=["x86_64-cp31"])
    with pytest.raises(InputError, match=r"'riscv' has no lock in .*; there are: x86_64-cp311\."):
        workstation.build(controllers=["riscv"])
