"""Wheels that the user gives for a target, such as NVIDIA's for a Jetson; no index has ones that fit."""

from __future__ import annotations

import zipfile
from email.parser import Parser
from pathlib import Path
from typing import Dict, List, Mapping, Sequence

from edgeai_runtime.bundle.targets import Target
from edgeai_runtime.bundle.wheel_name import WheelName, normalized
from edgeai_runtime.environments.lock import Wheel
from edgeai_runtime.errors import InputError

# Whoever brings the first does not get the second: both are one package to an importer.
REPLACES = {"onnxruntime-gpu": "onnxruntime"}


def find_own_wheels(directory: Path, target: Target) -> List[Path]:
    """The wheels in `directory`, each of which fits the target. Raises InputError."""
    found: Dict[str, Path] = {}
    for path in sorted(directory.glob("*.whl")):
        name = WheelName.parse(path.name)
        if not name.fits(target):
            raise InputError(
                f"{path}: this wheel is for {'.'.join(name.pythons)}-{'.'.join(name.abis)} on "
                f"{'.'.join(name.platforms)}, and the target {target.name} is Python {target.python} on "
                f"{target.architecture}; put the wheel that fits there, or correct the target."
            )
        other = found.setdefault(name.distribution, path)
        if other != path:
            raise InputError(
                f"{directory}: {other.name} and {path.name} are of one package; keep one of them."
            )
    if not found:
        raise InputError(
            f"{directory}: there are no wheels for {target.name} here; put *.whl files there, or correct "
            "the directory."
        )
    return list(found.values())


def merge(locked: Sequence[Wheel], own: Sequence[Wheel]) -> List[Wheel]:
    """The wheels of a lock with the user's in the place of those they replace."""
    names = [WheelName.parse(wheel.filename).distribution for wheel in own]
    replaced = {*names, *(REPLACES[name] for name in names if name in REPLACES)}
    kept = [w for w in locked if WheelName.parse(w.filename).distribution not in replaced]
    return [*kept, *own]


def check_requirements(own: Sequence[Path], wheels: Sequence[Wheel], target: Target) -> None:
    """Refuse a user's wheel that needs what the lock does not hold, or another version of it.

    Nothing resolves on a device: what is missing here would be missing there. Raises InputError.
    """
    from packaging.requirements import InvalidRequirement, Requirement  # the workstation alone has it

    names = [WheelName.parse(wheel.filename) for wheel in wheels]
    held = {name.distribution: name.version for name in names}
    for replacing, replaced in REPLACES.items():
        if replacing in held:
            held.setdefault(replaced, held[replacing])
    for path in own:
        for line in _requirements(path):
            try:
                needed = Requirement(line)
            except InvalidRequirement:
                raise InputError(
                    f"{path}: it requires '{line}', which nobody can read; rebuild it."
                ) from None
            if needed.marker and not needed.marker.evaluate(_environment(target)):
                continue
            version = held.get(normalized(needed.name))
            if version is None or not needed.specifier.contains(version, prereleases=True):
                has = f"the lock has {version}" if version else "the lock does not have it"
                raise InputError(
                    f"{path}: it needs {needed.name}{needed.specifier}, and {has}; put a wheel of "
                    f"{needed.name} that fits {target.name} beside it."
                )


def _requirements(path: Path) -> List[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
            return Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist") or []
    except (zipfile.BadZipFile, StopIteration, UnicodeDecodeError):
        raise InputError(f"{path}: this is no wheel, or a damaged one; fetch it again.") from None


def _environment(target: Target) -> Mapping[str, str]:
    """The variables of environment markers (PEP 508) on a device of the target."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{target.python}.0",
        "os_name": "posix",
        "platform_machine": target.architecture,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{target.python}.0",
        "python_version": target.python,
        "sys_platform": "linux",
        "extra": "",
    }
