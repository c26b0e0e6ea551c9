"""What the example's tests share: its directory on the path, and its releases, made once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before anything imports onnxruntime
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples" / "label_reader"))


@pytest.fixture(scope="session")
def cache() -> Path:
    return Path.home() / ".cache" / "edgeai"


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """The directory with the four releases."""
    from make_releases import make_releases

    output = tmp_path_factory.mktemp("releases")
    make_releases(output, cache)
    return output
