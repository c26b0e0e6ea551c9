"""A conversion for other devices of the very same fingerprint, as it travels.

It spares them a search or the building of an engine and no judgement: the workstation signs it as it signs a
release, and who takes it measures it as if it had been made there. No figure goes with it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple

from edgeai_runtime.convert import fingerprint
from edgeai_runtime.convert.conversion import Conversion
from edgeai_runtime.durable import fsync_directory, write_atomic, writing
from edgeai_runtime.errors import InputError
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Blob, check_schema, file_sha256
from edgeai_runtime.release.recipe import ENGINES
from edgeai_runtime.release.values import SCHEMA
from edgeai_runtime.settings import Device
from edgeai_runtime.strict import check_keys, choice, typed
from edgeai_runtime.trust import store
from edgeai_runtime.trust.space import need_space

RECORD = "conversion.json"  # beside the files it names, each called by its sha256


@dataclass(frozen=True)
class Shared:
    """`release`: the name of the release with the model; `made_by`: the device; `recipe`: the way, in words;
    `inputs`: what the fingerprint was made of; `instead`: the ONNX model where an engine does not load."""

    fingerprint: str
    release: str
    made_by: str
    engine: str
    recipe: str
    threads: int
    artifact: Blob
    instead: Optional[Blob]
    inputs: Dict[str, Any]

    @property
    def files(self) -> Tuple[Blob, ...]:
        return (self.artifact, self.instead) if self.instead else (self.artifact,)

    def to_json(self) -> bytes:
        content = {"schema": SCHEMA, **asdict(self)}
        return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def target_of(digest: str) -> str:
    """What a bundle calls the conversion with this fingerprint."""
    return f"conversions/{digest}.json"


def share(paths: Paths, device: Device, release: str, made: Conversion, inputs: Mapping[str, Any]) -> Shared:
    """What was converted here, for others."""
    instead = store.blob_path(paths, made.instead).stat().st_size if made.instead else 0
    return Shared(
        fingerprint=made.fingerprint,
        release=release,
        made_by=device.name,
        engine=made.engine,
        recipe=made.recipe,
        threads=made.threads,
        artifact=Blob(made.artifact, made.size),
        instead=Blob(made.instead, instead) if made.instead else None,
        inputs=dict(inputs),
    )


@dataclass(frozen=True)
class Written:
    """`path`: the directory with the record and its files."""

    path: str
    fingerprint: str
    files: Tuple[Blob, ...]
    changed: bool
    actions: Tuple[str, ...]


def write_shared(paths: Paths, given: Shared, output: Path, check: bool) -> Written:
    """Write it to a directory of its fingerprint's name in `output`, all of it or nothing. Raises
    StorageError."""
    place = output / given.fingerprint
    wanted = {
        RECORD: hashlib.sha256(given.to_json()).hexdigest(),
        **{b.sha256: b.sha256 for b in given.files},
    }
    if all((place / name).is_file() and file_sha256(place / name) == sha for name, sha in wanted.items()):
        return Written(str(place), given.fingerprint, given.files, False, ())
    if not check:
        need_space(output, "a conversion", {"to write": sum(blob.size for blob in given.files)})
        with writing(output):
            output.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".conversion-", dir=output) as beside:
                whole = Path(beside) / "whole"
                whole.mkdir()
                for blob in given.files:
                    _copy(store.blob_path(paths, blob.sha256), whole / blob.sha256)
                write_atomic(whole / RECORD, given.to_json())
                if place.exists():
                    place.rename(Path(beside) / "old")
                whole.rename(place)
            fsync_directory(output)
    said = f"{'would write' if check else 'wrote'} {given.recipe} of {given.release} to {place}"
    return Written(str(place), given.fingerprint, given.files, True, (said,))


def _copy(file: Path, to: Path) -> None:
    """As well as it can be on a stick that is pulled out at once."""
    shutil.copyfile(file, to)
    with open(to, "rb") as copied:
        os.fsync(copied.fileno())


def read_shared(data: bytes, origin: str) -> Shared:
    """Raises InputError for what is none, or was changed."""
    try:
        table = json.loads(data)
    except ValueError as error:
        raise InputError(f"{origin}: this is not JSON ({error}); bring it from the device again.") from None
    if not isinstance(table, dict):
        raise InputError(f"{origin}: an object was expected; bring it from the device again.")
    check_keys(table, ["schema", *(field.name for field in fields(Shared))], origin=origin)
    check_schema(table, origin)
    instead = typed(table, "instead", dict, origin) if table["instead"] is not None else None
    read = Shared(
        fingerprint=typed(table, "fingerprint", str, origin),
        release=typed(table, "release", str, origin),
        made_by=typed(table, "made_by", str, origin),
        engine=choice(table, "engine", ENGINES, origin),
        recipe=typed(table, "recipe", str, origin),
        threads=typed(table, "threads", int, origin),
        artifact=Blob.from_json(typed(table, "artifact", dict, origin), f"{origin}, artifact"),
        instead=None if instead is None else Blob.from_json(instead, f"{origin}, instead"),
        inputs=typed(table, "inputs", dict, origin),
    )
    if read.threads < 1:
        raise InputError(f"{origin}: 'threads' is {read.threads}, expected 1 or more; bring it again.")
    if fingerprint.digest(read.inputs) != read.fingerprint:
        raise InputError(
            f"{origin}: the fingerprint is not that of its inputs; bring it from the device again."
        )
    return read
