"""Targets: what wheels must fit. A name is `architecture-cpXY-accelerator`, e.g. aarch64-cp311-cpu.

A controller has no accelerator: it is named x86_64-cp311.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import List

from edgeai_runtime.errors import InputError
from edgeai_runtime.strict import hint

GLIBC = (2, 28)  # wheels that need a newer one are not taken: Debian 10, JetPack 5 and newer have it
# pip takes a wheel only under a tag it was told, so every older one is named.
MANYLINUX = tuple(f"manylinux_2_{minor}" for minor in (GLIBC[1], 27, 26, 24, 17))
MANYLINUX += ("manylinux2014",)

_MACHINE = re.compile(r"(?P<architecture>x86_64|aarch64)-cp3(?P<minor>\d+)")
_NAME = re.compile(_MACHINE.pattern + r"-(?P<accelerator>[a-z0-9]+)")


@dataclass(frozen=True)
class Target:
    """`python` is "3.11"; `requirements` the lock file with the hash of every wheel."""

    name: str
    architecture: str
    python: str
    accelerator: str
    requirements: Path

    def pip_options(self) -> List[str]:
        """What makes `pip download` choose wheels for this target and not for this machine."""
        abi = f"cp{self.python.replace('.', '')}"
        options = ["--implementation", "cp", "--python-version", self.python]
        options += [word for tag in (abi, "abi3", "none") for word in ("--abi", tag)]
        return options + [w for tag in MANYLINUX for w in ("--platform", f"{tag}_{self.architecture}")]


def find_target(name: str, locks: Path, own_wheels: bool = False) -> Target:
    """The target `name` with its lock in the directory `locks`; raises InputError naming those there are.

    With `own_wheels` of the user an accelerator may have any name: its other wheels are those of the
    processor's target ("aarch64-cp310-jetson" takes the lock of "aarch64-cp310-cpu").
    """
    match = _NAME.fullmatch(name)
    requirements = locks / f"{name}.txt"
    if match and own_wheels and not requirements.is_file():
        requirements = locks / f"{match['architecture']}-cp3{match['minor']}-cpu.txt"
    if match is None or not requirements.is_file():
        known = [path.stem for path in locks.glob("*.txt") if _NAME.fullmatch(path.stem)]
        own = "" if own_wheels else " For wheels of your own name their directory in bundle_wheels."
        raise InputError(f"The target '{name}' has no lock in {locks}; {hint(name, known, 'there are')}{own}")
    return Target(name, match["architecture"], f"3.{match['minor']}", match["accelerator"], requirements)


def find_controller(machine: str, locks: Path) -> Target:
    """The target of a controller ("x86_64-cp311"); raises InputError naming those that there are."""
    match = _MACHINE.fullmatch(machine)
    name = f"controller-{machine}"
    requirements = locks / f"{name}.txt"
    if match is None or not requirements.is_file():
        known = [path.stem.partition("-")[2] for path in locks.glob("controller-*.txt")]
        raise InputError(
            f"The controller '{machine}' has no lock in {locks}; {hint(machine, known, 'there are')}"
        )
    return Target(name, match["architecture"], f"3.{match['minor']}", "", requirements)
