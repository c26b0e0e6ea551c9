"""A lock: the wheels of one target by digest. Its own digest names the environment built from it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Mapping, Tuple

from edgeai_runtime.errors import InputError
from edgeai_runtime.release import check_schema
from edgeai_runtime.strict import check_keys, typed

SCHEMA = 1


@dataclass(frozen=True)
class Wheel:
    """One wheel: its true file name, the sha256 of its content, its size in bytes."""

    filename: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Lock:
    """`name` is the target's (or "supervisor"); `installer` is the pip that installs `wheels`.

    `python` ("3.11", or ">=3.8" for any), `architecture`, `glibc` (least version) and
    `accelerator` say what a device must have; empty means any.
    """

    name: str
    python: str
    architecture: str
    glibc: str
    accelerator: str
    installer: Wheel
    wheels: Tuple[Wheel, ...]

    def to_json(self) -> bytes:
        """The lock as canonical JSON, wheels sorted by file name."""
        fields = {**vars(self), "schema": SCHEMA, "installer": vars(self.installer)}
        fields["wheels"] = [vars(wheel) for wheel in sorted(self.wheels, key=lambda wheel: wheel.filename)]
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode() + b"\n"

    @property
    def digest(self) -> str:
        """The sha256 of the lock: the name of its environment."""
        return hashlib.sha256(self.to_json()).hexdigest()

    @classmethod
    def from_json(cls, data: bytes, origin: str) -> Lock:
        """Read a lock; raises InputError naming `origin`."""
        try:
            table = json.loads(data)
        except ValueError as error:
            raise InputError(f"{origin}: this is not JSON ({error}); build the bundle again.") from None
        texts = ("name", "python", "architecture", "glibc", "accelerator")
        check_keys(table, ["schema", "installer", "wheels", *texts], origin=origin)
        check_schema(table, origin)
        return cls(
            installer=_wheel(typed(table, "installer", dict, origin), f"{origin}, installer"),
            wheels=tuple(
                _wheel(wheel, f"{origin}, wheels") for wheel in typed(table, "wheels", list, origin)
            ),
            **{key: typed(table, key, str, origin) for key in texts},
        )


def _wheel(table: Mapping[str, Any], origin: str) -> Wheel:
    check_keys(table, ["filename", "sha256", "size"], origin=origin)
    filename = typed(table, "filename", str, origin)
    if "/" in filename or not filename.endswith(".whl"):
        raise InputError(f"{origin}: '{filename}' is no wheel's file name; build the bundle again.")
    return Wheel(filename, typed(table, "sha256", str, origin), typed(table, "size", int, origin))
