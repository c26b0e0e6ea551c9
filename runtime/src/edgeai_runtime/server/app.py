"""What is answered where: routes of the V2 protocol, /metrics and /openapi.json."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Coroutine, Dict, List, Mapping, Optional, Set
from urllib.parse import unquote

from edgeai_runtime import __version__
from edgeai_runtime.errors import EdgeAIError
from edgeai_runtime.monitor import metrics
from edgeai_runtime.monitor.sampler import Sampler
from edgeai_runtime.monitor.watch import REPORT_PATH, Watch
from edgeai_runtime.protocol.texts import read_json
from edgeai_runtime.server.access import OPEN, Access
from edgeai_runtime.server.infer import Inference
from edgeai_runtime.server.limits import Held, Limits
from edgeai_runtime.server.messages import (
    Handler,
    Head,
    Refused,
    Reply,
    Response,
    error_response,
    json_response,
    mistake,
)
from edgeai_runtime.server.served import Served
from edgeai_runtime.server.v2 import EXTENSIONS, models
from edgeai_runtime.serving.batching import Batching
from edgeai_runtime.serving.cache import Cache
from edgeai_runtime.serving.cores import Cores
from edgeai_runtime.serving.files import Files
from edgeai_runtime.serving.repository import Generation

# What is said there of routes and errors is held against what is answered by the tests.
_OPENAPI = Path(__file__).with_name("openapi.json")
_log = logging.getLogger("edgeai.server")
Answer = Callable[[], Response]


class App:
    """Answers requests for the models of a generation, or of bare `files`. It belongs to the event loop."""

    def __init__(
        self,
        generation: Generation,
        sampler: Sampler,
        watch: Watch,
        batching: Mapping[str, Batching],
        cache: Optional[Cache],
        limits: Limits,
        files: Optional[Files] = None,
        access: Access = OPEN,
    ) -> None:
        self._generation = generation
        self._sampler = sampler
        self._watch = watch
        self._cache = cache
        self._access = access
        self._helpers = ThreadPoolExecutor(max_workers=1, thread_name_prefix="helper")
        cores, unpacked = Cores(), Held(limits.bodies)
        found = [(model, batching[name]) for name, model in generation.models.items()]
        self.served = Served(
            lambda model, batching: Inference(
                model, batching, cache, sampler, self._helpers, cores, limits, unpacked
            ),
            found,
            sampler,
            files,
        )
        self._models = self.served.now
        self._changes: Set[asyncio.Task[None]] = set()

    def answer(self, head: Head, body: memoryview, reply: Reply) -> None:
        """Answer any request, at once or later; an error is an answer too."""
        handler = head.handler
        try:
            if handler is None:
                handler = head.handler = self._resolve(head)
            handler(body, reply)
        except Refused as refused:
            reply(error_response(refused.status, str(refused), refused.headers))
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not take the process down
            _log.exception("%s %s", head.method, head.path)
            reply(mistake(error))

    def close(self) -> None:
        """End all threads and free the models."""
        self.served.close()
        self._helpers.shutdown()

    def _resolve(self, head: Head) -> Handler:
        """What answers requests with this head. Raises Refused."""
        self._access.check(head)  # here, since whoever sends the same head again has the same token
        parts = [unquote(part) for part in head.path.strip("/").split("/")]
        if parts == ["v2", "models", "stats"] and "stats" not in self._models:
            return _get(head, lambda: json_response({"model_stats": self._statistics(self._models.values())}))
        if parts[:2] == ["v2", "models"] and len(parts) > 2:
            return self._model(head, parts[2], parts[3:])
        if parts == ["v2", "repository", "index"]:
            _allow(head, "POST")
            return self._index
        if parts[:3] == ["v2", "repository", "models"] and len(parts) == 5:
            return self._change(head, parts[3], parts[4])
        if parts == ["v2", "alarms"]:
            return _get(head, lambda: json_response(self._watch.alarms()))
        if parts[:2] == ["v2", "alarms"] and parts[3:] == ["acknowledge"]:
            return self._acknowledge(head, parts[2])
        if parts == ["metrics"]:
            return _get(head, self._metrics)
        if parts == ["openapi.json"]:
            return _get(head, lambda: Response(200, _OPENAPI.read_bytes()))
        if head.path == REPORT_PATH:
            return _get(head, lambda: json_response(self._watch.report()))
        found = self._server(parts[1:]) if parts[0] == "v2" else None
        if found is None:
            raise Refused(404, f"There is nothing at {head.path[:200]}; the protocol begins at /v2.")
        return _get(head, lambda: json_response(found))

    def _server(self, parts: List[str]) -> Optional[Any]:
        if not parts:
            return {"name": "edgeai", "version": __version__, "extensions": EXTENSIONS}
        if parts == ["health", "live"]:
            return {"live": True}
        if parts == ["health", "ready"]:
            # Requests only ever come here once every model is loaded and warm.
            return {"ready": True}
        if parts == ["models"]:
            served = [inference.model for inference in self._models.values()]
            return [{"name": model.name, "version": model.version} for model in served]
        return None

    def _model(self, head: Head, name: str, rest: List[str]) -> Handler:
        """/v2/models/NAME[/versions/VERSION][/ready|/infer|/config|/stats]; `rest` follows the name."""
        inference = self._models.get(name)
        if inference is None:
            served = ", ".join(sorted(self._models)) or "none"
            raise Refused(404, f"There is no model '{name[:100]}' here; served are: {served}.")
        model = inference.model
        if len(rest) >= 2 and rest[0] == "versions":
            if rest[1] != model.version:
                raise Refused(
                    404, f"{name} is served in version {model.version}, not {rest[1][:100]}; ask for it."
                )
            rest = rest[2:]
        if rest == ["infer"]:
            _allow(head, "POST")
            return inference.handler(head)
        answers: Dict[str, Answer] = {
            "": lambda: json_response(models.metadata(model)),
            "ready": lambda: json_response({"name": name, "ready": True}),
            "config": lambda: json_response(
                models.config(model, inference.scheduler.batching, inference.cache is not None)
            ),
            "stats": lambda: json_response({"model_stats": self._statistics([inference])}),
        }
        if "/".join(rest) not in answers:
            raise Refused(
                404,
                f"There is nothing at {head.path[:200]}; a model has /ready, /infer, /config and /stats.",
            )
        return _get(head, answers["/".join(rest)])

    def _statistics(self, wanted: Any) -> List[Any]:
        return [models.statistics(one.model.name, one.counts) for one in wanted]

    def _index(self, body: memoryview, reply: Reply) -> None:
        reply(json_response(self.served.index(ready=_object(body).get("ready") is True)))

    def _change(self, head: Head, name: str, change: str) -> Handler:
        """/v2/repository/models/NAME/load or /unload. Raises Refused."""
        changes: Dict[str, Callable[[str], Coroutine[Any, Any, None]]] = {
            "load": self.served.load,
            "unload": self.served.unload,
        }
        if change not in changes:
            raise Refused(404, f"There is nothing at {head.path[:200]}; a model there has /load and /unload.")
        _allow(head, "POST")
        self._access.check_administrator(head)
        self.served.check(name)

        def handle(body: memoryview, reply: Reply) -> None:
            given = _object(body).get("parameters", {})
            if not isinstance(given, dict) or set(given) - {"unload_dependents"}:
                raise Refused(
                    400, f"{name} is loaded from the file that `edgeai serve` was told; send no parameters."
                )
            if not isinstance(given.get("unload_dependents", False), bool):
                raise Refused(400, "unload_dependents is neither true nor false; send one, or nothing.")
            self._go_on(_done(changes[change](name), reply))

        return handle

    def _acknowledge(self, head: Head, name: str) -> Handler:
        """/v2/alarms/NAME/acknowledge; the body may say by whom. Raises Refused."""
        _allow(head, "POST")
        self._access.check_administrator(head)

        def handle(body: memoryview, reply: Reply) -> None:
            by = _object(body).get("by", "whoever is on the device" if head.local else "whoever has a token")
            if not isinstance(by, str) or not 0 < len(by) <= 200:
                raise Refused(400, "by is no text of 1 to 200 characters; say who acknowledges, or nothing.")
            self._go_on(_done(self._watch.acknowledge(name, by), reply))

        return handle

    def _go_on(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)

    def _metrics(self) -> Response:
        snapshot, watch = self._sampler.snapshot(), self._watch
        number = self._generation.number
        text = metrics.render(snapshot, number, watch.readings, watch.standing(), self._cache)
        return Response(200, text.encode(), metrics.CONTENT_TYPE)


async def _done(change: Coroutine[Any, Any, Any], reply: Reply) -> None:
    """Answer once something was changed, or that could not be."""
    try:
        await change
    except EdgeAIError as error:
        reply(error_response(400, error.message))
    except Exception as error:  # noqa: BLE001 - every request is answered
        _log.exception("a change")
        reply(mistake(error))
    else:
        reply(Response(200))


def _object(body: memoryview) -> Dict[str, Any]:
    """What a body says, nothing where there is none. Raises Refused."""
    try:
        said = read_json(bytes(body)) if len(body) else {}
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise Refused(400, "The body is no JSON object; send one, or nothing.")
    return said


def _get(head: Head, answer: Answer) -> Handler:
    _allow(head, "GET", "HEAD")
    return _now(answer)


def _now(answer: Answer) -> Handler:
    def handle(_body: memoryview, reply: Reply) -> None:
        reply(answer())

    return handle


def _allow(head: Head, *methods: str) -> None:
    if head.method not in methods:
        raise Refused(
            405, f"{head.path[:200]} takes {methods[0]}, not {head.method}.", Allow=", ".join(methods)
        )
