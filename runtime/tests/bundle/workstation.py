"""A workstation without a network: pip finds wheels in a directory, everything else is real."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

import pytest
from making import pip_hash, write_release, write_wheel

PYPROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "edgeai-runtime"
version = "0.1.0"
requires-python = ">=3.8"
[project.scripts]
edgeai = "edgeai_runtime.cli:main"
[tool.setuptools.packages.find]
where = ["src"]
"""
TARGETS = ("x86_64-cp311-cpu", "aarch64-cp311-cpu")


class Workstation:
    """Where everything lies below `place`; `index` is the directory that pip finds wheels in."""

    def __init__(self, place: Path) -> None:
        self.output = place / "bundle"
        self.keys = place / "keys"
        self.cache = place / "cache"
        self.runtime = place / "runtime"
        self.index = place / "index"
        self.releases = [place / "1.0.0"]
        self.said: List[str] = []

    def offline(self, patch: pytest.MonkeyPatch) -> None:
        """Let pip know of `index` alone."""
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(self.index))
        patch.setenv("PIP_CONFIG_FILE", "/dev/null")

    def build(self, **changed: Any) -> Any:
        """`bundle.build` with this workstation's arguments, but for what is `changed`."""
        from edgeai_runtime.bundle import build

        arguments: Dict[str, Any] = {
            "output": self.output,
            "keys_dir": self.keys,
            "cache_dir": self.cache,
            "runtime_dir": self.runtime,
            "targets": ["x86_64-cp311-cpu"],
            "release_dirs": self.releases,
            "expires_days": 30,
            "progress": self.said.append,
        }
        return build(**{**arguments, **changed})

    def content(self) -> Dict[str, bytes]:
        """Every file of the bundle."""
        files = (path for path in self.output.rglob("*") if path.is_file())
        return {str(path.relative_to(self.output)): path.read_bytes() for path in files}


def make_workstation(place: Path) -> Workstation:
    """A workstation with wheels, a runtime, its locks and a release, nothing collected yet."""
    index, runtime = place / "index", place / "runtime"
    wheels = {name: write_wheel(index, name, {}) for name in ("one", "two", "pip", "supervisor")}
    for machine in ("x86_64", "aarch64"):  # a wheel that differs by target behind equal requirements
        plain = write_wheel(place / machine, "native", {"native.py": f"MACHINE = '{machine}'\n"})
        tag = f"cp311-cp311-manylinux_2_17_{machine}.manylinux2014_{machine}"
        wheels[machine] = plain.replace(index / f"native-1.0-{tag}.whl")
    for name in ("edgeai_keeper", "edgeai_runtime"):
        package = runtime / "src" / name
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
    (runtime / "src" / "edgeai_keeper" / "keeper.py").write_text("")
    (runtime / "pyproject.toml").write_text(PYPROJECT)
    for name in ("README.md", "LICENSE"):
        (runtime / name).write_text("text\n")
    (runtime / "locks").mkdir()
    native = pip_hash(wheels["x86_64"]).strip() + " " + pip_hash(wheels["aarch64"]).split()[1] + "\n"
    for target in TARGETS:
        text = pip_hash(wheels["one"]) + pip_hash(wheels["two"]) + native
        (runtime / "locks" / f"{target}.txt").write_text(text)
    for name, wheel in (("installer", "pip"), ("supervisor", "supervisor")):
        (runtime / "locks" / f"{name}.txt").write_text(pip_hash(wheels[wheel]))
    write_release(place / "1.0.0")
    return Workstation(place)
