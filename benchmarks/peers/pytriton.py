"""PyTriton: Triton with the model in a Python process of its own, as its documentation serves one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Sequence

from benchmarks.environments import Environment
from benchmarks.peers.base import Peer, open_session, program
from benchmarks.peers.triton import Triton

if TYPE_CHECKING:
    from benchmarks.networks import Network


class PyTriton(Peer):
    name = "pytriton"
    title = "PyTriton"
    package = "nvidia_pytriton"
    json = True

    def requirements(self) -> Sequence[str]:
        return Triton().requirements()

    def command(self, environment: Environment, network: Network, port: int, work: Path) -> List[str]:
        shape = ",".join(map(str, network.shape))
        return program("benchmarks.peers.pytriton", environment, network, port, shape, network.classes)


def serve(name: str, path: str, given: str, asked: str, port: str, shape: str, classes: str) -> None:
    import numpy as np
    from pytriton.decorators import batch
    from pytriton.model_config import ModelConfig, Tensor
    from pytriton.triton import Triton as Server
    from pytriton.triton import TritonConfig

    session = open_session(path)

    @batch  # type: ignore[misc]  # its types are not here
    def infer(**inputs: Any) -> List[Any]:
        result: List[Any] = session.run([asked], inputs)
        return result

    config = TritonConfig(
        http_address="127.0.0.1", http_port=int(port), allow_grpc=False, allow_metrics=False
    )
    with Server(config=config) as server:
        server.bind(
            model_name=name,
            infer_func=infer,
            inputs=[Tensor(name=given, dtype=np.float32, shape=tuple(map(int, shape.split(","))))],
            outputs=[Tensor(name=asked, dtype=np.float32, shape=(int(classes),))],
            config=ModelConfig(max_batch_size=32),
        )
        server.serve()


if __name__ == "__main__":
    serve(*sys.argv[1:])
