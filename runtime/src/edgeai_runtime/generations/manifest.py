"""A generation's manifest: one environment, converted models, one config; the file that makes it whole."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

from edgeai_runtime.backends.execution import MODEL_FILES, ONNXRUNTIME
from edgeai_runtime.errors import DamagedError, InputError
from edgeai_runtime.generations.state import read_state
from edgeai_runtime.paths import Paths

SCHEMA = 1
FILE = "manifest.json"
COPY = "manifest.copy.json"  # the same again: without it nobody knows what the generation needs


@dataclass(frozen=True)
class ModelEntry:
    """A converted model: `release` is the sha256 of its release's manifest, `artifact` of what is served;
    `threads` of one inference, 0 where a runtime before this one left it to the recipe; `instead`, of the
    ONNX model that serves where an engine does not load, "" where there is none."""

    version: str
    release: str
    artifact: str
    fingerprint: str
    engine: str
    recipe: str
    quality: Optional[float]
    threads: int = 0
    instead: str = ""

    @property
    def identity(self) -> Tuple[str, str, str]:
        """What decides how it answers; the rest says how it came about."""
        return (self.release, self.artifact, self.engine)

    @property
    def files(self) -> Dict[str, str]:
        """The sha256 of its model's files, by their names in a generation."""
        files = {MODEL_FILES[self.engine]: self.artifact}
        return {**files, MODEL_FILES[ONNXRUNTIME]: self.instead} if self.instead else files


@dataclass(frozen=True)
class Manifest:
    """`environment` is a lock's digest, `config` the sha256 of runtime.toml, `created` ISO-8601 UTC.

    `platform` are the versions of L4T, CUDA and TensorRT it was made and measured with, where the system
    has them.
    """

    generation: int
    created: str
    environment: str
    parent: Optional[int]
    models: Dict[str, ModelEntry]
    config: str
    platform: Dict[str, str] = field(default_factory=dict)

    @property
    def content(self) -> Tuple[object, ...]:
        """What the generation is, whatever its number: equal content, equal behaviour."""
        models = {name: entry.identity for name, entry in self.models.items()}
        return (self.environment, models, self.config, self.platform)

    def to_json(self) -> bytes:
        text = json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1, sort_keys=True, ensure_ascii=False)
        return text.encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes, origin: str) -> Manifest:
        """Read a manifest; keys of a newer runtime are left aside. Raises InputError."""
        try:
            table = json.loads(data)
            if table["schema"] != SCHEMA:
                raise InputError(
                    f"{origin}: schema {table['schema']!r} is unknown, expected {SCHEMA}; update the runtime."
                )
            table.setdefault("platform", {})  # the runtime before this one did not record it
            fields = {name: table[name] for name in cls.__dataclass_fields__}
            fields["models"] = {name: _entry(entry) for name, entry in table["models"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedError(
                f"{origin}: this is no generation's manifest ({error!r}); "
                "remove its directory, then try again."
            ) from None
        return cls(**fields)


def _entry(table: Dict[str, Any]) -> ModelEntry:
    known = {"threads": 0, "instead": "", **table}
    return ModelEntry(**{name: known[name] for name in ModelEntry.__dataclass_fields__})


def load_manifest(paths: Paths, generation: int) -> Manifest:
    """The manifest of a generation on this device, from its copy where it is damaged. Raises InputError."""
    directory = paths.generation(generation)
    try:
        return _read(directory / FILE)
    except DamagedError:
        if not (directory / COPY).is_file():
            raise
        return _read(directory / COPY)


def _read(path: Path) -> Manifest:
    try:
        return Manifest.from_json(path.read_bytes(), str(path))
    except OSError as error:
        raise DamagedError(
            f"{path}: the generation cannot be read ({error.strerror}); provision the device again."
        ) from None


def is_readable(path: Path) -> bool:
    """Whether this is a manifest, of whatever schema."""
    try:
        _read(path)
    except DamagedError:
        return False
    except InputError:  # a later runtime's
        return True
    return True


def current_manifest(paths: Paths) -> Optional[Dict[str, Any]]:
    """The manifest of the generation this device serves, as JSON; None when it serves none."""
    current = read_state(paths).current
    if current is None:
        return None
    manifest = load_manifest(paths, current)
    data: Dict[str, Any] = json.loads(manifest.to_json())
    return data


def is_whole(directory: Path) -> bool:
    """Whether a generation was made to its end: the copy of its manifest is the last but one of its files."""
    return any((directory / file).is_file() for file in (FILE, COPY))


def made_at(directory: Path) -> float:
    """When a whole generation was made, as a file's time; mending a manifest makes it no younger."""
    return min((directory / file).stat().st_mtime for file in (FILE, COPY) if (directory / file).is_file())
