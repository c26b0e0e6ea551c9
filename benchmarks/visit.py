"""One start of one peer with one network: is its answer right, what does it weigh, how fast is it."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import time
from abc import abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable, ContextManager, Dict, List, Tuple

import numpy as np

from benchmarks.environments import Environment, UnavailableError
from benchmarks.figures import Row
from benchmarks.load import Load, Loaded, finished, parse
from benchmarks.networks import Network
from benchmarks.peers.base import Peer
from benchmarks.processes import Processes
from benchmarks.wires import V2_JSON, Message, Wire

_PATIENCE_S = 60.0
_SETTLE_S = 1.0
_INPUTS = 16  # besides the numbers that make each request another
# Each run's requests are numbered from a place of its own; the last is for those that are looked at.
_NUMBERS = 1 << 19
_LOOKED_AT = 15 * _NUMBERS
# Networks computed in batches of other sizes add in another order.
_RELATIVE, _ABSOLUTE = 1e-3, 1e-4
_EMPTY = Message({}, b"", 0)
HITS = re.compile(r"^\w*cache\w*hits\w*(?:\{[^}]*\})? ([0-9.e+]+)$", re.MULTILINE)


@dataclass(frozen=True)
class Place:
    """Where a peer runs."""

    environment: Environment
    core: int
    work: Path  # a directory of its own
    log: Path  # what its server says


def visit(peer: Peer, network: Network, place: Place) -> Visit:
    """Use it in a `with`: there the peer has started and answered right. Raises UnavailableError."""
    return Served(peer, network, place) if peer.listens else InProcess(peer, network, place)


class Visit(ContextManager["Visit"]):
    """`start_s`: from the start of the process to the first answer."""

    def __init__(self, peer: Peer, network: Network, place: Place) -> None:
        self._peer = peer
        self._network = network
        self._place = place
        self._port = _free_port()
        self.start_s = 0.0
        self._why = ""  # it does not answer yet

    def __enter__(self) -> Visit:
        peer, place = self._peer, self._place
        place.work.mkdir(parents=True, exist_ok=True)
        place.log.parent.mkdir(parents=True, exist_ok=True)
        command = peer.command(place.environment, self._network, self._port, place.work)
        variables = {"ORT_DISABLE_TELEMETRY": "1", **peer.variables(place.environment)}
        began = time.perf_counter()
        self._processes = Processes(command, variables, place.core, place.log, place.work)
        try:
            self._wait(self._answers)
            self.start_s = time.perf_counter() - began
        except BaseException:
            self._processes.end()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._processes.end()

    def pss_mb(self) -> float:
        return self._processes.pss_mb()

    def idle_percent(self, seconds: float) -> float:
        """Of a core, while nobody asks for anything; what the load left to do is over by then."""
        time.sleep(_SETTLE_S)
        before, began = self._processes.cpu_s(), time.perf_counter()
        time.sleep(seconds)
        return 100 * (self._processes.cpu_s() - before) / (time.perf_counter() - began)

    @abstractmethod
    def load(self, row: Row, seconds: float, warm_up: float) -> Loaded:
        """Run a row's load; what comes first to warm up does not count."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether it is ready; False while it may become so."""

    def _wait(self, condition: Callable[[], bool], patience: float = _PATIENCE_S) -> None:
        deadline = time.monotonic() + patience
        while not condition():
            if not self._processes.alive:
                raise UnavailableError(f"it ended; the last it said: {self._last_words()}")
            if time.monotonic() > deadline:
                why = f"it did not answer within {patience:.0f} s ({self._why or 'nothing there'})"
                raise UnavailableError(f"{why}; the last it said: {self._last_words()}")
            time.sleep(0.002)

    def _last_words(self) -> str:
        said = [line.strip() for line in self._processes.said() if line.strip()]
        return f"{said[-1][:300] if said else 'nothing'} ({self._place.log})"


class InProcess(Visit):
    """A loop that has no server: its own process runs it and says how fast it was."""

    def load(self, row: Row, seconds: float, warm_up: float) -> Loaded:
        self._run(warm_up)
        return self._run(seconds)

    def _run(self, seconds: float) -> Loaded:
        results = self._results()
        self._processes.tell(str(seconds))
        self._wait(lambda: self._results() > results, seconds + _PATIENCE_S)
        loaded = parse(self._processes.said())
        assert loaded is not None
        return loaded

    def _results(self) -> int:
        return sum(line.startswith("RESULT ") for line in self._processes.said())

    def _answers(self) -> bool:
        return "READY" in self._processes.said()


class Served(Visit):
    """A server on a port of this machine."""

    def __init__(self, peer: Peer, network: Network, place: Place) -> None:
        super().__init__(peer, network, place)
        self._inputs = network.inputs(_INPUTS)
        self._reference = network.reference() if peer.infers else None
        self._path = peer.path(network)
        self._runs = 0
        self._looked_at = _LOOKED_AT

    def load(self, row: Row, seconds: float, warm_up: float) -> Loaded:
        wire = V2_JSON if row.json else self._peer.wire
        first = self._numbers()
        messages = [wire.request(self._network, values, first) for values in self._inputs]
        before = self._cache_hits()
        load = Load(self._port, self._path, wire, messages, self._place.work / "requests")
        errors = self._warm_up(load, wire, row, warm_up, first)
        loaded = finished(
            load.start(row.connections, seconds, first if row.same else self._numbers(), row.same)
        )
        hits = self._cache_hits() - before
        if hits and not row.same:
            errors.append(f"{hits} answers came from a cache")
        return replace(loaded, errors="; ".join(filter(None, [loaded.errors, *errors])))

    def _warm_up(self, load: Load, wire: Wire, row: Row, seconds: float, first: int) -> List[str]:
        """While it lasts, answers are looked at; what is wrong with them."""
        wrk = load.start(row.connections, seconds, first, row.same)
        wrong: List[str] = []
        while wrk.poll() is None:
            # The server is to be as busy with others' requests as it will be.
            number = first if row.same else self._look_at()
            with contextlib.suppress(_NotYet):
                wrong += self._ask(wire, number)
            time.sleep(0.01)
        wrong += filter(None, [finished(wrk).errors])
        return wrong[:1]

    def _answers(self) -> bool:
        try:
            wrong = self._ask(self._peer.wire, self._look_at())
        except _NotYet as why:
            self._why = str(why)
            return False
        if wrong:
            raise UnavailableError(wrong[0])
        return True

    def _ask(self, wire: Wire, number: int) -> List[str]:
        """What is wrong with the answer to one request. Raises _NotYet for none at all."""
        values = self._inputs[0]
        message = wire.request(self._network, values, number)
        status, headers, body = self._exchange("POST", self._path, message)
        if status != 200:
            raise _NotYet(f"status {status}: {body[:200].decode(errors='replace')}")
        if self._reference is None:
            return []
        asked = values.copy()
        asked.reshape(-1)[0] = wire.value(number)
        expected = self._reference(asked)
        try:
            answer = wire.answer(self._network, headers, body)
        except (ValueError, KeyError, IndexError) as error:
            return [f"an answer cannot be read ({error}): {body[:200]!r}"]
        if answer.shape != expected.shape:
            return [f"an answer has the shape {answer.shape}, not {expected.shape}"]
        if not np.allclose(answer, expected, _RELATIVE, _ABSOLUTE):
            off = float(np.abs(answer - expected).max())
            return [f"an answer differs from onnxruntime's by {off:.3g}"]
        return []

    def _exchange(
        self, method: str, path: str, message: Message = _EMPTY
    ) -> Tuple[int, Dict[str, str], bytes]:
        """Status, headers by lower-case name, body. Raises _NotYet without an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        with contextlib.closing(connection):
            try:
                connection.request(method, path, message.body, message.headers)
                response = connection.getresponse()
                found = {name.lower(): value for name, value in response.getheaders()}
                return response.status, found, response.read()
            except (OSError, http.client.HTTPException) as error:
                raise _NotYet(str(error)) from None

    def _cache_hits(self) -> int:
        if not self._peer.metrics:
            return 0
        text = self._exchange("GET", self._peer.metrics)[2].decode()
        return int(sum(map(float, HITS.findall(text))))

    def _numbers(self) -> int:
        """Where the numbers of one more run begin."""
        first = self._runs * _NUMBERS
        self._runs += 1
        return first

    def _look_at(self) -> int:
        self._looked_at += 1
        return self._looked_at


class _NotYet(Exception):
    """Nobody answers, or with an error, as a server does whose network is not loaded yet."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
