"""An inference request, from its bytes to the bytes of its answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Callable, Optional, Tuple, Union

from edgeai_runtime.backends.base import Tensors
from edgeai_runtime.errors import EdgeAIError, InputError
from edgeai_runtime.monitor.sampler import Sampler
from edgeai_runtime.protocol import requests
from edgeai_runtime.protocol.requests import Asked, Given
from edgeai_runtime.release.serving import AUTO, ON
from edgeai_runtime.server import encodings
from edgeai_runtime.server.limits import MOST_DIGITS, Held, Limits
from edgeai_runtime.server.messages import (
    Handler,
    Head,
    Refused,
    Reply,
    Response,
    error_response,
    mistake,
)
from edgeai_runtime.server.v2.responses import Writer
from edgeai_runtime.serving.batching import Batching
from edgeai_runtime.serving.cache import Cache, Question
from edgeai_runtime.serving.cores import Cores
from edgeai_runtime.serving.geometry import Geometry
from edgeai_runtime.serving.model import Model
from edgeai_runtime.serving.scheduler import Busy, Overdue, Scheduler
from edgeai_runtime.serving.waiting import Outcome

# The keeper's own requests carry it: they are no client's, and no figure counts them.
PROBE_HEADER = "x-edgeai-probe"

_IMAGES = ("image/png", "image/jpeg")
_TENSORS = ("application/json", "application/octet-stream", "")
_REMEMBERED = 32  # the JSON of so many requests
_QUICK = 8 << 10  # bytes of JSON, or values to be written as JSON, that take less time than a helper would
_PICTURE = Asked((Given("image", "BYTES", (1,)),))

_log = logging.getLogger("edgeai.server")


class Inference:
    """What all requests for one model share. It belongs to the event loop; `helpers` do what takes time."""

    def __init__(
        self,
        model: Model,
        batching: Batching,
        cache: Optional[Cache],
        sampler: Sampler,
        helpers: ThreadPoolExecutor,
        cores: Cores,
        limits: Limits,
        unpacked: Held,
    ) -> None:
        self.limits, self.unpacked = limits, unpacked
        self.model, self.sampler, self.helpers = model, sampler, helpers
        pays = batching.finding_pays or model.takes_images  # a picture takes longer to prepare than to find
        keeps = model.serving.cache == ON or (model.serving.cache == AUTO and pays)
        self.cache = cache if keeps else None
        self.counts = sampler.models[model.name]
        self.counts.provider = model.provider
        self.scheduler = Scheduler(model, batching, self.counts, cores)
        self.writer = Writer(model.name, model.version, model.labels, model.batched)
        self.loop = asyncio.get_running_loop()
        self._known: OrderedDict[bytes, Asked] = OrderedDict()
        self._open = 0  # requests that are not answered
        self._unasked: Optional[asyncio.Future[None]] = None

    def handler(self, head: Head) -> Handler:
        """What answers requests with this head."""
        counted = not (head.local and PROBE_HEADER in head.headers)
        packed = wanted = ""
        refused: Optional[Refused] = None
        size: Optional[int] = None
        kind = head.headers.get("content-type", "").split(";")[0].strip().lower()
        try:
            if kind not in (*_IMAGES, *_TENSORS):
                known = ", ".join((*_IMAGES, *_TENSORS[:-1]))
                raise Refused(415, f"The content type is '{kind}', expected {known}.")
            packed, wanted = encodings.of_request(head.headers), encodings.for_answer(head.headers)
            size = _json_size(head)
            if size == 0 and kind == "application/json":
                raise Refused(
                    400,
                    "The body is application/json and Inference-Header-Content-Length says that none of it "
                    "is JSON; send a tensor's bytes as application/octet-stream, or leave that header out.",
                )
        except Refused as refusal:
            refused = refusal

        direct = refused is None and bool(size) and not packed and not wanted and kind not in _IMAGES

        def handle(body: memoryview, reply: Reply) -> None:
            if direct and self._in_passing(size or 0, body, reply, counted):
                return
            exchange = _Exchange(self, reply, counted, wanted)
            begin = exchange.picture if kind in _IMAGES else partial(exchange.tensors, size)
            if refused is not None:
                exchange.outcome(refused)
            elif packed:
                unpack = partial(encodings.unpack, body, packed, self.limits.body)
                exchange.aside(unpack, partial(exchange.unpacked, begin))
            else:
                exchange.step(begin, body)

        return handle

    def _in_passing(self, size: int, body: memoryview, reply: Reply, counted: bool) -> bool:
        """Whether a request was answered with the least there is to do: bytes for bytes, its JSON (of `size`)
        known, the model quick and idle. All else, and mistakes, go the long way."""
        asked = self._known.get(bytes(body[:size]))
        if asked is None or not asked.in_bytes or not self.scheduler.at_leisure():
            return False
        started = time.perf_counter()
        behind = body[size:]
        cache = self.cache if counted else None
        answer: Optional[Tensors] = None
        if cache is not None:
            question = Question((self.model, asked.meta), (behind,))
            fingerprint = question.fingerprint()
            answer = cache.find(question, fingerprint)
            if answer is not None:
                self.counts.hits += 1
            elif cache.is_asked(fingerprint):
                return False
        if answer is None:
            try:
                outcome = self.scheduler.at_once(asked.feeds(behind), counted)
            except InputError:
                return False
            if isinstance(outcome, EdgeAIError):
                return False
            answer = outcome
            if cache is not None:
                self.counts.misses += 1
                cache.keep(question, fingerprint, answer)
        response = self.writer.write(answer, asked)
        if counted:
            self.sampler.passed(self.counts, time.perf_counter() - started)
        reply(response)
        return True

    def close(self) -> None:
        """End the model's thread and free the model."""
        self.scheduler.close()
        self.model.close()

    def begun(self) -> None:
        """A request arrived."""
        self._open += 1

    def answered(self) -> None:
        """It has its answer."""
        self._open -= 1
        if self._unasked is not None and not self._open:
            self._unasked.set_result(None)

    async def unasked(self) -> None:
        """Return when all requests are answered; that no more come is seen to elsewhere."""
        if self._open:
            self._unasked = self.loop.create_future()
            await self._unasked

    def known(self, text: bytes) -> Optional[Asked]:
        """What a request's JSON says, where it was read and checked before."""
        return self._known.get(text)

    def check(self, asked: Asked, text: bytes) -> None:
        """That the model takes and gives what is asked. Raises InputError."""
        self.model.check({given.name: (given.datatype, given.shape) for given in asked.inputs})
        self.writer.check(asked, [spec.name for spec in self.model.outputs])
        if 0 < len(text) <= _QUICK and asked.reusable and asked.id is None:
            self._known[text] = asked
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)


class _Exchange:
    """One request on its way to its one answer. Its steps run in the event loop, but for what is `aside`."""

    __slots__ = (
        "_asked",
        "_cache",
        "_counted",
        "_encoding",
        "_geometry",
        "_inference",
        "_picture",
        "_reply",
        "_settle",
        "_started",
        "_unpacked",
    )

    def __init__(self, inference: Inference, reply: Reply, counted: bool, encoding: str) -> None:
        self._inference, self._reply, self._counted, self._encoding = inference, reply, counted, encoding
        self._cache = inference.cache if counted else None  # samples are worked on, every time
        self._started = time.perf_counter()
        self._asked = _PICTURE
        self._picture = False  # the pipeline is gone through
        self._unpacked = 0  # bytes
        self._settle: Optional[Callable[[Any], None]] = None
        inference.begun()
        if counted:
            inference.sampler.begin()

    def step(self, work: Callable[[Any], None], result: Any) -> None:
        """Go on with a result; a mistake is an outcome too."""
        try:
            work(result)
        except Exception as error:  # noqa: BLE001 - every request is answered
            self.outcome(error)

    def aside(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Have a helper do some work, then go on with its result."""
        loop = self._inference.loop

        def run() -> None:
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - it is told to whoever asked
                loop.call_soon_threadsafe(self.outcome, error)
            else:
                loop.call_soon_threadsafe(self.step, then, result)

        self._inference.helpers.submit(run)

    # What is asked.

    def unpacked(self, begin: Callable[[memoryview], None], body: memoryview) -> None:
        """A body that came packed: what the connection let in may be a thousand times as much now."""
        self._unpacked = len(body)
        too_many = self._inference.unpacked.take(self._unpacked)
        if too_many:
            raise Busy(too_many)
        begin(body)

    def tensors(self, json_size: Optional[int], body: memoryview) -> None:
        """A V2 request; `json_size` bytes of it are JSON: None all, 0 a single tensor's bytes."""
        if json_size == 0:
            asked = requests.raw(self._inference.model.inputs, len(body))
            self._inference.check(asked, b"")
            self._ask(asked, body)
            return
        size = len(body) if json_size is None else json_size
        if size > len(body):
            raise InputError(
                f"Inference-Header-Content-Length is {size}, the body has {len(body)} bytes; "
                "correct one of them."
            )
        text, behind = bytes(body[:size]), body[size:]
        asked_before = self._inference.known(text)
        if asked_before is not None:
            self._ask(asked_before, behind)
        elif size <= _QUICK:
            self._read(text, behind, requests.decode(text))
        else:
            self.aside(partial(requests.decode, text), partial(self._read, text, behind))

    def picture(self, body: memoryview) -> None:
        """An image file for the pipeline."""
        self._picture = True
        data = bytes(body)
        if not self._found(Question((self._inference.model, "image"), (data,))):
            self.aside(partial(self._inference.model.prepare, data), self._placed)

    def _read(self, text: bytes, behind: memoryview, asked: Asked) -> None:
        if self._inference.model.takes_images and [given.datatype for given in asked.inputs] == ["BYTES"]:
            self._asked = asked
            self.picture(_picture_in(asked, behind))
        else:
            self._inference.check(asked, text)
            self._ask(asked, behind)

    def _ask(self, asked: Asked, behind: memoryview) -> None:
        self._asked = asked
        if self._cache is not None:
            parts: Tuple[Union[bytes, memoryview], ...] = (behind, *asked.values())
            if self._found(Question((self._inference.model, asked.meta), parts)):
                return
        self._submit(asked.feeds(behind))

    # What is answered.

    def _found(self, question: Question) -> bool:
        """Whether the answer is there, or on its way for somebody else who asked the same."""
        cache = self._cache
        if cache is None:
            return False
        fingerprint = question.fingerprint()
        answer = cache.find(question, fingerprint)
        if answer is not None:
            self._inference.counts.hits += 1
            self._answer(answer)
            return True
        if cache.join(question, fingerprint, self._answer):
            self._inference.counts.hits += 1
            return True
        self._inference.counts.misses += 1
        self._settle = partial(cache.settle, question, fingerprint, self._answer)
        return False

    def _placed(self, prepared: Tuple[Tensors, Geometry]) -> None:
        feeds, self._geometry = prepared
        self._submit(feeds)

    def _submit(self, feeds: Tensors) -> None:
        done, asked = self._interpret if self._picture else self.outcome, self._asked
        self._inference.scheduler.submit(feeds, done, asked.priority, asked.timeout_us, self._counted)

    def _interpret(self, outcome: Outcome) -> None:
        if isinstance(outcome, Exception):
            self.outcome(outcome)
        else:
            work = partial(self._inference.model.interpret, outcome, self._geometry)
            self.aside(work, self.outcome)

    def outcome(self, outcome: Any) -> None:
        """Tensors or an error, for us and for all who asked the same meanwhile."""
        settle, self._settle = self._settle, None
        if settle is None:
            self._answer(outcome)
        else:
            settle(outcome)

    def _answer(self, outcome: Any) -> None:
        if isinstance(outcome, Exception):
            self._finish(_failure(outcome), outcome)
            return
        try:
            self._write(outcome)
        except Exception as error:  # noqa: BLE001 - every request is answered
            self._finish(_failure(error), error)

    def _write(self, outputs: Tensors) -> None:
        writer, asked = self._inference.writer, self._asked
        if self._picture:
            writer.check(asked, list(outputs))
        values = 0 if asked.binary else sum([array.size for array in outputs.values()])
        if values <= _QUICK and not self._encoding:
            self._finish(writer.write(outputs, asked))
            return

        self.aside(lambda: encodings.pack(writer.write(outputs, asked), self._encoding), self._finish)

    def _finish(self, response: Response, error: Optional[Exception] = None) -> None:
        if self._counted:
            seconds = time.perf_counter() - self._started
            model, cause = self._inference.model.name, "" if error is None else _cause(error)
            self._inference.sampler.end(model, response.status, seconds, cause)
        if self._unpacked:
            self._inference.unpacked.give(self._unpacked)
        self._reply(response)
        self._inference.answered()


def _picture_in(asked: Asked, behind: memoryview) -> memoryview:
    """The picture in a request that holds it as a BYTES element. Raises InputError."""
    (given,) = asked.inputs
    if given.data is not None:
        raise InputError(f"The input '{given.name}' is a picture in JSON; send its bytes behind the JSON.")
    if any(side != 1 for side in given.shape):
        raise InputError(
            f"The input '{given.name}' has the shape {list(given.shape)}; send one picture a request."
        )
    if len(behind) != given.size or int.from_bytes(behind[:4], "little") != len(behind) - 4:
        raise InputError(
            f"The input '{given.name}' is no single element of {given.size} bytes; "
            "send 4 bytes of length and the picture."
        )
    return behind[4:]


def _failure(error: Exception) -> Response:
    if isinstance(error, (Busy, Overdue)):
        return error_response(429, error.message)
    if isinstance(error, InputError):
        return error_response(400, error.message)
    if isinstance(error, Refused):
        return error_response(error.status, str(error), error.headers)
    if isinstance(error, EdgeAIError):
        _log.error("%s", error.message)
        return error_response(500, error.message)
    _log.error("an inference request", exc_info=error)
    return mistake(error)


def _cause(error: Exception) -> str:
    if isinstance(error, (EdgeAIError, Refused)):
        return str(error)
    return "the runtime made a mistake, its log has more"


def _json_size(head: Head) -> Optional[int]:
    value = head.headers.get("inference-header-content-length")
    if value is None:
        return None
    if not value.isdecimal() or len(value) > MOST_DIGITS:
        raise Refused(400, f"Inference-Header-Content-Length is '{value[:40]}', expected a number of bytes.")
    return int(value)
