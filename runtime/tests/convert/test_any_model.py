"""Whatever onnxruntime loads is converted, measured and answered from, or refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy import DEVICE
from zoo import DRAWS, zoo_release

from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.backends.onnx import OnnxBackend
from edgeai_runtime.convert.convert import convert_release
from edgeai_runtime.paths import Paths
from edgeai_runtime.protocol import requests
from edgeai_runtime.release import Recipe
from edgeai_runtime.trust.store import blob_path


def ignore(sentence: str) -> None:
    """No one listens to the progress."""


@pytest.mark.parametrize("kind", DRAWS)
def test_a_model_of_any_kind_has_a_measured_artifact_that_answers(tmp_path: Path, kind: str) -> None:
    paths = Paths(tmp_path)
    release = zoo_release(paths, kind, Recipe(strategy="auto"))
    made = convert_release(paths, DEVICE, release, False, ignore)
    assert (made.quality or 0.0) >= 0.9
    assert all(row.why for row in made.table)
    fp32 = made.table[0]
    assert (fp32.candidate, fp32.quality) == ("fp32", 1.0)
    backend = OnnxBackend.load(blob_path(paths, made.artifact), Execution(1, ("cpu",)))
    sample = blob_path(paths, release.sets.golden[0].sha256).read_bytes()
    assert backend.run(requests.decode(sample).feeds(memoryview(b"")))
    backend.close()
