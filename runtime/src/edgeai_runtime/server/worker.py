"""One thread for each model: the event loop stays free, a model runs one inference at a time."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Optional

from edgeai_runtime.errors import InputError
from edgeai_runtime.server import v2
from edgeai_runtime.server.messages import Refused, Request
from edgeai_runtime.serving.model import Model

_IMAGES = ("image/png", "image/jpeg")
_TENSORS = ("application/json", "application/octet-stream", "")


class Worker:
    """A model and its thread. Reading a body and writing an answer are work too, so they happen there."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=model.name)

    async def infer(self, request: Request) -> bytes:
        """The JSON answer to an inference request. Raises Refused, InputError, BackendError."""
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind not in (*_IMAGES, *_TENSORS):
            raise Refused(
                415, f"The content type is '{kind}', expected {', '.join((*_IMAGES, *_TENSORS[:-1]))}."
            )
        if request.headers.get("content-encoding", "identity") != "identity":
            raise Refused(415, "The body is compressed; send it as it is.")
        work = self._image if kind in _IMAGES else self._tensors
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, request)

    def close(self) -> None:
        self._thread.shutdown()

    def _image(self, request: Request) -> bytes:
        return v2.encode_infer(self.model, self.model.infer_image(request.body))

    def _tensors(self, request: Request) -> bytes:
        asked = v2.decode_infer(request.body, _json_size(request))
        return v2.encode_infer(self.model, self.model.infer(asked.inputs), asked.outputs, asked.id)


def _json_size(request: Request) -> Optional[int]:
    value = request.headers.get("inference-header-content-length")
    if value is None:
        return None
    if not value.isdecimal():
        raise InputError(f"Inference-Header-Content-Length is '{value[:40]}', expected a number of bytes.")
    return int(value)
