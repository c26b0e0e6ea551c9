"""Bare ONNX files, served by hand without a keeper or a store."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Dict, Mapping, Sequence, Tuple

from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.backends.select import open_backend, version_of
from edgeai_runtime.errors import BackendError, InputError
from edgeai_runtime.release import AS_MEASURED, Pipeline, Serving, file_sha256
from edgeai_runtime.serving.admission import MIB, Loaded, admit, load_admitted
from edgeai_runtime.serving.model import Model
from edgeai_runtime.serving.repository import Generation
from edgeai_runtime.serving.threads import fitting
from edgeai_runtime.serving.tuning import NOTHING_KEPT, Tuning
from edgeai_runtime.strict import hint

ENGINE = "onnxruntime"
NO_PIPELINE = Pipeline((), ())
VERSION = "1"  # as Triton calls the only one


class Files:
    """Each is a model by the name of its file without the suffix."""

    def __init__(
        self,
        files: Sequence[Path],
        execution: Execution,
        wishes: Mapping[str, Serving] = MappingProxyType({}),
        tuning: Tuning = NOTHING_KEPT,
    ) -> None:
        """`execution` on 0 threads: as many as pay, which `tuning` may know. `wishes`: how models want to be
        served, by name. Raises InputError for a file that is missing, for
        two of one name, and for wishes of a model that there is none of."""
        self.paths: Dict[str, Path] = {}
        self._execution, self._wishes, self._tuning = execution, wishes, tuning
        self._fingerprints: Dict[str, str] = {}  # of the files as they were loaded
        self._took: Dict[Tuple[str, int], float] = {}  # MiB, by name and size of the file
        for path in files:
            if not path.is_file():
                raise InputError(f"{path}: there is no such file; name the ONNX files that shall be served.")
            other = self.paths.setdefault(path.stem, path)
            if other is not path and other.samefile(path):
                raise InputError(f"{path}: this file was named twice; name each once.")
            if other is not path:
                raise InputError(
                    f"{other} and {path} would both be the model '{path.stem}'; rename one of the files."
                )

        for name in wishes:
            if name not in self.paths:
                raise InputError(f"[models.{name}]: no file of that name is served; {hint(name, self.paths)}")

    def load(self, name: str) -> Model:
        """Read a model's file, anew where it was read before, and warm it up. Raises BackendError."""
        path = self.paths[name]
        try:
            size = path.stat().st_size
        except OSError as error:
            raise BackendError(f"{path}: cannot be read ({error.strerror}); put it back.") from None

        def load(threads: int) -> Loaded:
            execution = replace(self._execution, threads=threads)
            wishes = self._wishes.get(name, AS_MEASURED)

            def model() -> Model:
                backend = open_backend(ENGINE, path, execution)
                return Model(name, VERSION, ENGINE, backend, NO_PIPELINE, None, wishes)

            return load_admitted(name, needed_mb, model)

        needed_mb = self._took.get((name, size), size / MIB)
        admit(name, needed_mb)  # what is far too large is not even read to the end
        fingerprint = self._fingerprints[name] = self._fingerprint(name)
        threads = self._execution.threads or self._tuning.threads(fingerprint)
        loaded = load(threads) if threads else fitting(load)
        self._took[name, size] = loaded.memory_mb
        return loaded.model

    def _fingerprint(self, name: str) -> str:
        """What a measurement of it depends on, this machine among it: a home may be on several."""
        parts = (file_sha256(self.paths[name]), ENGINE, version_of(ENGINE), self._execution)
        return " ".join(map(str, (*parts, platform.machine(), platform.node())))

    def load_all(self) -> Generation:
        """All of them, which is generation 0: the keeper knows of none. Raises BackendError."""
        generation = Generation(number=0)
        try:
            for name in self.paths:
                generation.models[name] = self.load(name)
                generation.fingerprints[name] = self._fingerprints[name]
        except BaseException:
            generation.close()
            raise
        return generation
