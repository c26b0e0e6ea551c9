"""The device on the bench, with a depot of real releases of the toy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Iterator

import pytest

sys.path.extend(str(Path(__file__).parents[1] / beside) for beside in ("bundle", "convert", "generations"))

from bench import ENVIRONMENT, Bench
from plant import Plant
from toy import build_environment

from edgeai_runtime.generations import confirm


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Any]:
    bench = Bench(tmp_path / "device")
    build_environment(bench.paths, ENVIRONMENT)
    bench.start()
    try:
        bench.trial(environment=ENVIRONMENT)
        confirm(bench.paths)
        bench.put_live(bench.release("1.0.0"))
        yield Plant(tmp_path, bench)
    finally:
        bench.stop()
