"""KServe's model server, by itself: without Kubernetes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Sequence

from benchmarks.environments import Environment, locked
from benchmarks.peers.base import Peer, open_session, program

if TYPE_CHECKING:
    from benchmarks.networks import Network


class KServe(Peer):
    name = "kserve"
    title = "KServe"
    package = "kserve"
    json = True

    def requirements(self) -> Sequence[str]:
        return ["kserve==0.21.0", locked("onnxruntime")]

    def command(self, environment: Environment, network: Network, port: int, work: Path) -> List[str]:
        return program("benchmarks.peers.kserve", environment, network, port)


def serve(name: str, path: str, given: str, asked: str, port: str) -> None:
    import kserve

    class Model(kserve.Model):  # type: ignore[misc]  # its types are not here
        def load(self) -> bool:
            self._session = open_session(path)
            self.ready = True
            return True

        def predict(self, payload: Any, headers: Any = None) -> Any:
            (result,) = self._session.run([asked], {given: payload.inputs[0].as_numpy()})
            output = kserve.InferOutput(name=asked, shape=list(result.shape), datatype="FP32")
            output.set_data_from_numpy(result)
            return kserve.InferResponse(
                response_id=payload.id or "none",  # in JSON it must be there
                model_name=name,
                infer_outputs=[output],
                requested_outputs=payload.request_outputs,
                use_binary_outputs=payload.use_binary_outputs,
            )

    model = Model(name)
    model.load()
    kserve.ModelServer(http_port=int(port), enable_grpc=False, enable_latency_logging=False).start([model])


if __name__ == "__main__":
    serve(*sys.argv[1:])
