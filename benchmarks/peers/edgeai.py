"""This runtime, as a device runs it: the wheels of its lock, its own settings."""

from __future__ import annotations

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
        serve = [str(environment.python), "-m", "edgeai_runtime", "serve"]
        return [*serve, str(network.path), "--http", f"127.0.0.1:{port}"]
