"""What is answered where: routes of the V2 protocol and /metrics."""

from __future__ import annotations

import logging
import time
from typing import Any, List, Optional
from urllib.parse import unquote

from edgeai_runtime import __version__
from edgeai_runtime.errors import BackendError, EdgeAIError
from edgeai_runtime.monitor import metrics
from edgeai_runtime.monitor.sampler import Sampler
from edgeai_runtime.monitor.watch import REPORT_PATH, Watch
from edgeai_runtime.server import v2
from edgeai_runtime.server.messages import Refused, Request, Response, error_response, json_response
from edgeai_runtime.server.worker import Worker
from edgeai_runtime.serving.repository import Generation

# The keeper's own requests carry it: they are no client's, and no figure counts them.
PROBE_HEADER = "x-edgeai-probe"

_log = logging.getLogger("edgeai.server")


class App:
    """Answers requests for the models of one generation. Models work in threads of their own."""

    def __init__(self, generation: Generation, sampler: Sampler, watch: Watch) -> None:
        self._generation = generation
        self._sampler = sampler
        self._watch = watch
        self._workers = {name: Worker(model) for name, model in generation.models.items()}

    async def answer(self, request: Request) -> Response:
        """The answer to any request; an error is an answer too."""
        try:
            return await self._route(request)
        except Refused as refused:
            return error_response(refused.status, str(refused), refused.headers)
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not take the process down
            _log.exception("%s %s", request.method, request.path)
            return error_response(
                500, f"The runtime made a mistake ({type(error).__name__}); please report it with its log."
            )

    def close(self) -> None:
        """End the workers' threads and free the models."""
        for worker in self._workers.values():
            worker.close()
        self._generation.close()

    async def _route(self, request: Request) -> Response:
        parts = [unquote(part) for part in request.path.strip("/").split("/")]
        if parts[:2] == ["v2", "models"] and len(parts) > 2:
            return await self._model(request, parts[2], parts[3:])
        if parts == ["metrics"]:
            _allow(request, "GET")
            snapshot, watch = self._sampler.snapshot(), self._watch
            text = metrics.render(snapshot, self._generation.number, watch.readings, watch.standing())
            return Response(200, text.encode(), metrics.CONTENT_TYPE)
        if request.path == REPORT_PATH:
            _allow(request, "GET")
            return json_response(self._watch.report())
        found = self._server(parts[1:]) if parts[0] == "v2" else None
        if found is None:
            raise Refused(404, f"There is nothing at {request.path[:200]}; the protocol begins at /v2.")
        _allow(request, "GET")
        return json_response(found)

    def _server(self, parts: List[str]) -> Optional[Any]:
        if not parts:
            return {"name": "edgeai", "version": __version__, "extensions": ["binary_tensor_data"]}
        if parts == ["health", "live"]:
            return {"live": True}
        if parts == ["health", "ready"]:
            # Requests only ever come here once every model is loaded and warm.
            return {"ready": True}
        if parts == ["models"]:
            models = [worker.model for worker in self._workers.values()]
            return [{"name": model.name, "version": model.version} for model in models]
        return None

    async def _model(self, request: Request, name: str, rest: List[str]) -> Response:
        """/v2/models/NAME[/versions/VERSION][/ready|/infer]; `rest` is what follows the name."""
        worker = self._workers.get(name)
        if worker is None:
            served = ", ".join(sorted(self._workers)) or "none"
            raise Refused(404, f"There is no model '{name[:100]}' here; served are: {served}.")
        if len(rest) >= 2 and rest[0] == "versions":
            if rest[1] != worker.model.version:
                raise Refused(
                    404,
                    f"{name} is served in version {worker.model.version}, not {rest[1][:100]}; ask for it.",
                )
            rest = rest[2:]
        if not rest:
            _allow(request, "GET")
            return json_response(v2.metadata(worker.model))
        if rest == ["ready"]:
            _allow(request, "GET")
            return json_response({"name": name, "ready": True})
        if rest == ["infer"]:
            _allow(request, "POST")
            return await self._infer(worker, request)
        raise Refused(404, f"There is nothing at {request.path[:200]}; a model has /ready and /infer.")

    async def _infer(self, worker: Worker, request: Request) -> Response:
        counted = PROBE_HEADER not in request.headers
        started = time.perf_counter()
        if counted:
            self._sampler.begin()
        status, cause = 500, "the runtime made a mistake, its log has more"
        try:
            response = Response(200, await worker.infer(request))
            status = 200
            return response
        except Refused as refused:
            status, cause = refused.status, str(refused)
            raise
        except EdgeAIError as error:
            status, cause = 500 if isinstance(error, BackendError) else 400, error.message
            if status == 500:
                _log.error("%s", error.message)
            return error_response(status, error.message)
        finally:
            if counted:
                self._sampler.end(worker.model.name, status, time.perf_counter() - started, cause)


def _allow(request: Request, method: str) -> None:
    if request.method != method:
        raise Refused(405, f"{request.path[:200]} takes {method}, not {request.method}.", Allow=method)
