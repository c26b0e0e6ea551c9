"""Where the converting process works: directories on the store's file system."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import Iterator

from edgeai_runtime.durable import writing
from edgeai_runtime.errors import EdgeAIError
from edgeai_runtime.paths import Paths

_WORK = ".work-"


@contextlib.contextmanager
def workplace(paths: Paths, fingerprint: str) -> Iterator[Path]:
    """Where this conversion was killed, what was finished in it is there again; what another one left goes.
    Raises StorageError."""
    work = paths.conversions / f"{_WORK}{fingerprint}"
    with writing(paths.conversions):
        for left in paths.conversions.glob(f"{_WORK}*"):
            if left != work:
                shutil.rmtree(left)
        work.mkdir(parents=True, exist_ok=True)
        for unfinished in work.iterdir():
            if unfinished.is_dir():
                shutil.rmtree(unfinished)
            elif not unfinished.stem.isdecimal():
                unfinished.unlink()  # nothing says that it is whole
        try:
            yield work
        except (EdgeAIError, OSError):
            shutil.rmtree(work)
            raise
        shutil.rmtree(work)


@contextlib.contextmanager
def scratch(paths: Paths) -> Iterator[Path]:
    """Nothing in it is gone on with; where it was left behind, the next conversion removes it. Raises
    StorageError."""
    with writing(paths.conversions):
        paths.conversions.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_WORK, dir=paths.conversions) as directory:
            yield Path(directory)
