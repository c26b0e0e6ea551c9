# NOTE to helper "serving": the lead wrote this while you were silent (12:30); it may have replaced yours.
# You own it again: keep or rewrite, and remove this note.
"""Routes: what a request's path means. Knows nothing of sockets."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import List

from edgeai_runtime import __version__
from edgeai_runtime.errors import BackendError, InputError
from edgeai_runtime.monitor import metrics
from edgeai_runtime.monitor.sampler import Sampler
from edgeai_runtime.server import v2
from edgeai_runtime.server.messages import Refused, Request, Response, error_response, json_response
from edgeai_runtime.serving.model import Model
from edgeai_runtime.serving.repository import Generation

_log = logging.getLogger("edgeai.server")


class App:
    """Answers requests to one generation. Each model has one worker thread; the event loop never blocks."""

    def __init__(self, generation: Generation, sampler: Sampler) -> None:
        self._generation = generation
        self._sampler = sampler
        self._workers = {name: ThreadPoolExecutor(1, name) for name in generation.models}

    async def answer(self, request: Request) -> Response:
        """The answer to any request; never raises."""
        try:
            return await self._route(request)
        except Refused as refused:
            return error_response(refused.status, str(refused), refused.headers)
        except Exception:
            _log.exception("a request to %s could not be answered", request.path)
            return error_response(500, "The runtime failed on this request; its log says why.")

    def close(self) -> None:
        """Let the workers end and give the models' memory back."""
        for worker in self._workers.values():
            worker.shutdown()
        self._generation.close()

    async def _route(self, request: Request) -> Response:
        parts = [part for part in request.path.split("/") if part]
        if parts == ["metrics"]:
            self._only("GET", request)
            body = metrics.render(self._sampler, self._generation.number)
            return Response(200, body, "text/plain; version=0.0.4; charset=utf-8")
        if parts[:1] != ["v2"]:
            raise Refused(404, f"There is nothing at {request.path}; the API begins at /v2.")
        if parts[1:2] == ["models"] and len(parts) > 2:
            return await self._model(request, parts[2:])
        self._only("GET", request)
        if parts == ["v2"]:
            return json_response(
                {"name": "edgeai", "version": __version__, "extensions": ["binary_tensor_data"]}
            )
        if parts == ["v2", "health", "live"]:
            return json_response({"live": True})
        if parts == ["v2", "health", "ready"]:
            return json_response({"ready": True})
        if parts == ["v2", "models"]:
            return json_response(
                [{"name": m.name, "version": m.version} for m in self._generation.models.values()]
            )
        raise Refused(404, f"There is nothing at {request.path}; see /v2, /v2/health/ready, /v2/models.")

    async def _model(self, request: Request, parts: List[str]) -> Response:
        """/v2/models/M[/versions/V][/ready|/infer], without its first two parts."""
        model = self._find(parts[0])
        rest = parts[1:]
        if rest[:1] == ["versions"] and len(rest) > 1:
            if rest[1] != model.version:
                raise Refused(404, f"{model.name} is served as {model.version}, not {rest[1]}.")
            rest = rest[2:]
        if rest == ["infer"]:
            self._only("POST", request)
            return await self._infer(model, request)
        self._only("GET", request)
        if rest == ["ready"]:
            return json_response({"name": model.name, "ready": True})
        if not rest:
            return json_response(v2.describe(model))
        raise Refused(404, f"There is nothing at {request.path}; see /ready and /infer.")

    async def _infer(self, model: Model, request: Request) -> Response:
        started = time.perf_counter()
        call = v2.read_call(request)
        failed = False
        self._sampler.in_flight += 1
        try:
            outputs = await asyncio.get_running_loop().run_in_executor(
                self._workers[model.name], _run, model, call
            )
            response = v2.answer(model, call, outputs)
        except InputError as error:
            raise Refused(400, error.message) from None
        except BackendError as error:
            failed = True
            response = error_response(500, error.message)
        finally:
            self._sampler.in_flight -= 1
        self._sampler.record(model.name, time.perf_counter() - started, failed)
        return response

    def _find(self, name: str) -> Model:
        if name not in self._generation.models:
            known = ", ".join(sorted(self._generation.models)) or "none"
            raise Refused(404, f"There is no model '{name}' here; served are: {known}.")
        return self._generation.models[name]

    @staticmethod
    def _only(method: str, request: Request) -> None:
        if request.method != method:
            raise Refused(405, f"{request.path} is for {method}, not {request.method}.", Allow=method)


def _run(model: Model, call: v2.InferCall) -> v2.Tensors:
    if call.image is not None:
        return model.infer_image(call.image)
    assert call.feeds is not None  # a call has the one or the other
    return model.infer(call.feeds)
