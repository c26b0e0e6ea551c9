"""What LitServe's own process gets, pickled: onnxruntime behind its requests.

LitServe looks at the annotations as they are: they may not be text, as the __future__ would make them.
"""

from typing import Any, Dict, List

import litserve
import numpy as np
from fastapi import Request

from benchmarks.peers.base import open_session


class Model(litserve.LitAPI):  # type: ignore[misc]  # its types are not here
    def __init__(self, path: str, shape: List[int]) -> None:
        super().__init__()
        self._path = path
        self._shape = shape

    def setup(self, device: str) -> None:
        self._session = open_session(self._path)
        self._input = self._session.get_inputs()[0].name

    def decode_request(self, request: Request) -> Any:
        return np.frombuffer(request["tensor"].file.read(), np.float32).reshape(1, *self._shape)

    def predict(self, x: Any) -> Any:
        return self._session.run(None, {self._input: x})[0]

    def encode_response(self, output: Any) -> Dict[str, Any]:
        return {"output": output.tolist()}
