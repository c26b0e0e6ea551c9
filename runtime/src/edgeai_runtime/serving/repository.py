"""A generation's directory to models that are loaded, warm and ready."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

from edgeai_runtime.backends.base import Backend
from edgeai_runtime.backends.execution import MODEL_FILES, ONNXRUNTIME, Execution
from edgeai_runtime.backends.select import open_backend
from edgeai_runtime.errors import BackendError, DamagedError, InputError
from edgeai_runtime.release import Release, file_sha256
from edgeai_runtime.serving.admission import MIB, load_admitted
from edgeai_runtime.serving.model import Model
from edgeai_runtime.serving.text import read_labels
from edgeai_runtime.serving.tuning import NOTHING_KEPT, Tuning
from edgeai_runtime.settings import load_toml

SCHEMA = 1

_log = logging.getLogger("edgeai.serving")


@dataclass
class Generation:
    """The models of one generation by name; none is valid. `warmup_ms`: of all of them together.

    `fingerprints`: what their conversions depended on; a model with none was not converted here.
    `memory_mb`: MiB that each took.
    """

    number: int
    models: Dict[str, Model] = field(default_factory=dict)
    fingerprints: Dict[str, str] = field(default_factory=dict)
    memory_mb: Dict[str, float] = field(default_factory=dict)
    warmup_ms: float = 0.0

    def close(self) -> None:
        for model in self.models.values():
            model.close()


def read_manifest(directory: Path) -> Dict[str, Any]:
    """The manifest.json of a generation. Keys this runtime does not know are left alone: the runtime
    before and the one after write here too. Raises InputError."""
    path = directory / "manifest.json"
    if not _is_json(path) and _is_json(directory / "manifest.copy.json"):
        path = directory / "manifest.copy.json"  # the keeper has an alarm for it
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DamagedError(
            f"{directory}: no manifest.json, so this is no finished generation; make it again with a trial."
        ) from None
    except ValueError as error:
        raise DamagedError(f"{path}: not JSON ({error}); make the generation again with a trial.") from None
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise InputError(f"{path}: schema {SCHEMA} is expected here; make the generation again with a trial.")
    for key in ("generation", "models"):
        if key not in manifest:
            raise DamagedError(f"{path}: the key '{key}' is missing; make the generation again with a trial.")
    return manifest


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return True


def load_generation(
    directory: Path, tuning: Tuning = NOTHING_KEPT, progress: Callable[[str], None] = lambda _: None
) -> Generation:
    """Load and warm up every model of a generation, one after the other (their peaks do not add up).

    `tuning` knows how much memory a model took before. Raises InputError when the directory is not whole,
    BackendError when a model does not load, memory does not admit it or it does not answer its warm-up.
    """
    manifest = read_manifest(directory)
    _prove(directory / "runtime.toml", manifest.get("config"))
    executions = _executions(directory / "runtime.toml", manifest["models"])
    generation = Generation(number=manifest["generation"])
    try:
        for name, entry in sorted(manifest["models"].items()):
            progress(f"loading {name} {entry.get('version')}")
            place, fingerprint = directory / "models" / name, str(entry.get("fingerprint", ""))
            needed_mb = tuning.memory_mb(fingerprint) or _size_mb(place)
            load = partial(_load_model, place, name, entry, executions[name])
            loaded = load_admitted(f"{name} {entry.get('version')}", needed_mb, load)
            generation.models[name] = loaded.model
            generation.fingerprints[name] = fingerprint
            generation.memory_mb[name] = loaded.memory_mb
            generation.warmup_ms += loaded.warmup_ms
    except BaseException:
        generation.close()
        raise
    return generation


def _size_mb(place: Path) -> float:
    return sum(file.stat().st_size for file in place.glob("*") if file.is_file()) / MIB


def _load_model(directory: Path, name: str, entry: Mapping[str, Any], execution: Execution) -> Model:
    manifest = directory / "release.json"
    _prove(manifest, entry.get("release"))
    release = Release.from_json(manifest.read_bytes(), origin=str(manifest))
    if (release.name, release.version) != (name, entry.get("version")):
        raise InputError(
            f"{manifest}: this is {release.name} {release.version}, the generation's manifest says "
            f"{name} {entry.get('version')}; make the generation again with a trial."
        )
    labels = None
    if release.labels:
        _prove(directory / "labels.txt", release.labels.sha256)
        labels = read_labels(directory / "labels.txt")
    engine, backend = _open(directory, entry, execution)
    return Model(name, release.version, engine, backend, release.pipeline, labels, release.serving)


def _open(directory: Path, entry: Mapping[str, Any], execution: Execution) -> Tuple[str, Backend]:
    """The engine that runs it, and its backend: where one that was built for another system does not load,
    the ONNX model that stands in for it. Raises DamagedError, InputError, BackendError."""
    engine = entry.get("engine", ONNXRUNTIME)
    file = directory / MODEL_FILES.get(engine, MODEL_FILES[ONNXRUNTIME])
    _prove(file, entry.get("artifact"))
    try:
        return engine, open_backend(engine, file, execution)
    except BackendError as error:
        if not entry.get("instead"):
            raise
        _log.error("%s", error.message)
    instead = directory / MODEL_FILES[ONNXRUNTIME]
    _prove(instead, entry["instead"])
    backend = open_backend(ONNXRUNTIME, instead, execution)
    backend.fell_back = (engine, *backend.fell_back)
    return ONNXRUNTIME, backend


def _executions(path: Path, models: Mapping[str, Any]) -> Dict[str, Execution]:
    configured = load_toml(path).get("models", {})
    executions = {}
    for name in models:
        table = configured.get(name, {})
        # A runtime before this one knew of no providers.
        executions[name] = Execution(table.get("threads", 1), tuple(table.get("providers", ("cpu",))))
    return executions


def _prove(path: Path, sha256: Optional[str]) -> None:
    """See that a file is what was measured here (None: nobody said what). Raises DamagedError.

    A flipped bit in a weight would load well and answer wrongly now and then.
    """
    if not path.is_file():
        found = "missing, or it points to nothing in the store"
    elif sha256 not in (None, file_sha256(path)):
        found = "damaged, it is not what was measured here"
    else:
        return
    raise DamagedError(f"{path}: {found}; fetch and try its release again.")
