"""MLServer, with the model in the server's own process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, List, Sequence

from benchmarks.environments import Environment, locked
from benchmarks.peers.base import Peer
from benchmarks.wires import V2_JSON

if TYPE_CHECKING:
    from benchmarks.networks import Network


class MLServer(Peer):
    name = "mlserver"
    title = "MLServer"
    package = "mlserver"
    wire = V2_JSON  # it has no other over HTTP
    json = True
    networks = ("mlp", "classifier")  # nobody sends whole pictures in JSON

    def requirements(self) -> Sequence[str]:
        return ["mlserver==1.7.1", locked("onnxruntime")]

    def command(self, environment: Environment, network: Network, port: int, work: Path) -> List[str]:
        settings = {
            "host": "127.0.0.1",
            "http_port": port,
            "grpc_port": 0,  # any: it cannot be left out
            "metrics_endpoint": None,
            "parallel_workers": 0,
        }
        model = {
            "name": network.name,
            "implementation": "benchmarks.peers.mlserver_model.Model",
            "parameters": {"uri": str(network.path)},
        }
        (work / "settings.json").write_text(json.dumps(settings))
        (work / "model-settings.json").write_text(json.dumps(model))
        return [str(environment.directory / "bin" / "mlserver"), "start", str(work)]
