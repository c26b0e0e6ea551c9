"""LitServe, whose model runs in a process beside the server's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Sequence

from benchmarks.environments import Environment, locked
from benchmarks.peers.base import Peer, open_session, program
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


def serve(path: str, given: str, asked: str, port: int, shape: List[int]) -> None:
    import litserve
    import numpy as np

    class API(litserve.LitAPI):  # type: ignore[misc]  # there are no types where this is checked
        def setup(self, device: str) -> None:
            self._session = open_session(path)

        def decode_request(self, request: Any) -> Any:
            return np.frombuffer(request["tensor"].file.read(), np.float32).reshape(1, *shape)

        def predict(self, x: Any) -> Any:
            return self._session.run([asked], {given: x})[0]

        def encode_response(self, output: Any) -> Dict[str, Any]:
            return {"output": output.tolist()}

    server = litserve.LitServer(API(), accelerator="cpu")
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    serve(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]), [int(size) for size in sys.argv[6:]])
