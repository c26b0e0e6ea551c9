"""What MLServer loads, by its path: onnxruntime behind its codecs."""

from __future__ import annotations

from typing import Any

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse

from benchmarks.peers.base import open_session


class Model(MLModel):  # type: ignore[misc]  # its types are not here
    async def load(self) -> bool:
        self._session = open_session(self.settings.parameters.uri)
        return True

    async def predict(self, payload: Any) -> Any:
        given = payload.inputs[0]
        (result,) = self._session.run(None, {given.name: NumpyCodec.decode_input(given)})
        name = self._session.get_outputs()[0].name
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output(name, result)])
