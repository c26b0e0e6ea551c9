"""LitServe, which runs the model in a process beside its server's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, List, Sequence

from benchmarks.environments import Environment, locked
from benchmarks.peers.base import Peer, program
from benchmarks.wires import FORM

if TYPE_CHECKING:
    from benchmarks.networks import Network


class LitServe(Peer):
    name = "litserve"
    title = "LitServe"
    package = "litserve"
    wire = FORM

    def requirements(self) -> Sequence[str]:
        return ["litserve==0.2.19", "python-multipart==0.0.34", locked("onnxruntime")]

    def command(self, environment: Environment, network: Network, port: int, work: Path) -> List[str]:
        return program("benchmarks.peers.litserve", environment, network, port, *network.shape)

    def path(self, network: Network) -> str:
        return "/predict"


def serve(path: str, port: int, shape: List[int]) -> None:
    import litserve

    from benchmarks.peers.litserve_model import Model

    server = litserve.LitServer(Model(path, shape), accelerator="cpu")
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    serve(sys.argv[2], int(sys.argv[5]), [int(size) for size in sys.argv[6:]])
