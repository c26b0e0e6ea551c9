"""MLServer, with the model in the server's own process."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Sequence

from benchmarks.environments import Environment, locked
from benchmarks.peers.base import Peer, open_session, program
from benchmarks.wires import V2_JSON

if TYPE_CHECKING:
    from benchmarks.networks import Network


class MLServer(Peer):
    name = "mlserver"
    title = "MLServer"
    package = "mlserver"
    wire = V2_JSON  # it has no other over HTTP
    json = True
    networks = ("mlp", "classifier")  # a picture of 224 × 224 in JSON is nobody's way

    def requirements(self) -> Sequence[str]:
        return ["mlserver==1.7.1", locked("onnxruntime")]

    def command(self, environment: Environment, network: Network, port: int, work: Path) -> List[str]:
        return program("benchmarks.peers.mlserver", environment, network, port)


async def serve(name: str, path: str, given: str, asked: str, port: str) -> None:
    import mlserver
    from mlserver.codecs import NumpyCodec
    from mlserver.settings import ModelSettings, Settings

    class Model(mlserver.MLModel):  # type: ignore[misc]  # there are no types where this is checked
        async def load(self) -> bool:
            self._session = open_session(path)
            return True

        async def predict(self, payload: Any) -> Any:
            (result,) = self._session.run([asked], {given: NumpyCodec.decode_input(payload.inputs[0])})
            return mlserver.types.InferenceResponse(
                model_name=name, outputs=[NumpyCodec.encode_output(asked, result)]
            )

    settings = Settings(
        host="127.0.0.1",
        http_port=int(port),
        grpc_port=int(port) + 1,
        metrics_endpoint=None,
        parallel_workers=0,
        load_models_at_startup=False,
    )
    await mlserver.MLServer(settings).start([ModelSettings(name=name, implementation=Model)])


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
