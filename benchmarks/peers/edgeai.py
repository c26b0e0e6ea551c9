"""This runtime, as a device runs it: the wheels of its lock, its own settings."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Sequence

from benchmarks.environments import LOCK, REPO, Environment
from benchmarks.peers.base import Peer

if TYPE_CHECKING:
    from benchmarks.networks import Network

SOURCE = REPO / "runtime" / "src"


class EdgeAI(Peer):
    name = "edgeai"
    title = "edgeai"
    package = "onnxruntime"
    json = True
    cache = "on"
    metrics = "/metrics"

    def requirements(self) -> Sequence[str]:
        return LOCK.read_text().splitlines()

    def variables(self, environment: Environment) -> Dict[str, str]:
        # This checkout's own code: an environment serves many checkouts.
        return {"PYTHONPATH": str(SOURCE)}

    def installed(self, environment: Environment) -> Sequence[Path]:
        return (environment.directory, SOURCE)

    def command(self, environment: Environment, network: Network, port: int, work: Path) -> List[str]:
        generation = _generation(network, work / "generation")
        serve = [str(environment.python), "-m", "edgeai_runtime", "--root", str(work), "serve"]
        return [*serve, "--generation", str(generation), "--http", f"127.0.0.1:{port}"]


def _generation(network: Network, directory: Path) -> Path:
    """The smallest generation that serves one bare network."""
    from edgeai_runtime.release import Blob, Pipeline, Recipe, Release, Sample, Sets

    model = network.path.read_bytes()
    release = Release(
        name=network.name,
        version="1.0.0",
        description="a benchmark's network",
        model=Blob(hashlib.sha256(model).hexdigest(), len(model)),
        labels=None,
        pipeline=Pipeline((), ()),
        sets=Sets((), (Sample("0" * 64, 1, "A"),), (Sample("1" * 64, 1, "B"),)),
        recipes={"industrial_pc": Recipe()},
        gates={"exact_match": 0.9},
    )
    models = directory / "models" / network.name
    models.mkdir(parents=True, exist_ok=True)
    (models / "model.onnx").write_bytes(model)
    (models / "release.json").write_bytes(release.to_json())
    (directory / "runtime.toml").write_text(f"[models.{network.name}]\nthreads = 1\n")
    served = {network.name: {"version": "1.0.0", "engine": "onnxruntime"}}
    manifest = {"schema": 1, "generation": 1, "environment": "none", "parent": None, "models": served}
    (directory / "manifest.json").write_text(json.dumps(manifest))
    return directory
