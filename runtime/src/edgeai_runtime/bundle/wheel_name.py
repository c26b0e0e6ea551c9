"""What a wheel's file name says: for whom it is (PEP 425, 427, 600), and which glibc it needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Iterator, Optional, Tuple

from edgeai_runtime.bundle.targets import Target
from edgeai_runtime.errors import InputError

_NAME = re.compile(
    r"(?P<name>[A-Za-z0-9._]+)-(?P<version>[^-]+)(-\d[^-]*)?"
    r"-(?P<pythons>[^-]+)-(?P<abis>[^-]+)-(?P<platforms>[\w.]+)\.whl"
)
# The names from before PEP 600, and what they mean.
_OLD_GLIBC = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}


@dataclass(frozen=True)
class WheelName:
    """`distribution` is normalized ("onnxruntime-gpu"); the tags are those the name lists."""

    distribution: str
    version: str
    pythons: Tuple[str, ...]
    abis: Tuple[str, ...]
    platforms: Tuple[str, ...]

    @classmethod
    def parse(cls, filename: str) -> WheelName:
        """Read a file name; raises InputError."""
        found = _NAME.fullmatch(filename)
        if found is None:
            raise InputError(
                f"{filename}: this is no wheel's file name; take the name it was published under."
            )
        tags = (tuple(found[part].split(".")) for part in ("pythons", "abis", "platforms"))
        return cls(normalized(found["name"]), found["version"], *tags)

    def fits(self, target: Target) -> bool:
        """Whether an interpreter of the target may take it; which glibc it needs is not looked at."""
        minor = int(target.python.split(".")[1])
        return any(_python_fits(python, abi, minor) for python in self.pythons for abi in self.abis) and any(
            platform == "any" or re.fullmatch(rf"(many)?linux.*_{target.architecture}", platform)
            for platform in self.platforms
        )

    @property
    def glibc(self) -> Optional[Tuple[int, int]]:
        """The least glibc it needs; None where its name does not say."""
        return min(self._glibcs(), default=None)

    def _glibcs(self) -> Iterator[Tuple[int, int]]:
        for platform in self.platforms:
            modern = re.match(r"manylinux_(\d+)_(\d+)_", platform)
            if modern:
                yield int(modern[1]), int(modern[2])
            elif platform.split("_")[0] in _OLD_GLIBC:
                yield _OLD_GLIBC[platform.split("_")[0]]


def normalized(name: str) -> str:
    """A distribution's name as it is compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _python_fits(python: str, abi: str, minor: int) -> bool:
    found = re.fullmatch(r"(cp|py)3(\d*)", python)
    if found is None:
        return False
    older = int(found[2] or 0) <= minor
    if found[1] == "py":
        return abi == "none" and older
    return (abi == "abi3" and older) or (python == f"cp3{minor}" and abi in (python, "none"))
