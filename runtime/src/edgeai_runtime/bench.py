"""Measure a model where it is served, as a client sees it.

The client is Python: beyond some thousand requests a second it measures itself. `make bench-serving` in the
repository compares servers with a faster one.
"""

from __future__ import annotations

import errno
import http.client
import json
import math
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple
from urllib.parse import urlsplit

import numpy as np

from edgeai_runtime.backends.datatypes import TO_NUMPY
from edgeai_runtime.client import MODELS, TIMEOUT_S, Client, path_of, picture, token
from edgeai_runtime.errors import BackendError, EdgeAIError, InputError, TransferError
from edgeai_runtime.monitor.asking import UnixConnection

_DRAWN = {"b": 2, "i": 100, "u": 100}  # whole numbers below that, by the kind of dtype
_ATTEMPTS, _PAUSE_S = 4, 0.5  # to reach a server that may be lost
_Drawn = Tuple[int, "np.dtype[Any]", int]  # where in the body, of which type, how many
Connect = Callable[[], http.client.HTTPConnection]
_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # it is this machine that has no room for a connection


@dataclass(frozen=True)
class Row:
    """`concurrency` clients together: answers a second, and how long they took. `cached`: of the requests,
    those whose answer was there already."""

    concurrency: int
    requests: int
    failed: int
    per_s: float
    p50_ms: Optional[float]
    p90_ms: Optional[float]
    p99_ms: Optional[float]
    cached: int


class Measured(NamedTuple):
    """`said`: a sentence for each number of clients of whose requests some failed."""

    model: str
    rows: List[Row]
    said: List[str]


class _Failure(NamedTuple):
    """What a request was answered with instead of a result."""

    status: int
    body: bytes

    def cause(self) -> str:
        """As the server said it."""
        try:
            return str(json.loads(self.body)["error"])
        except (ValueError, TypeError, KeyError):
            return f"HTTP {self.status}"


def bench(
    client: Client,
    model: Optional[str],
    concurrency: Sequence[int],
    seconds: float,
    image: Optional[Path] = None,
    progress: Callable[[str], None] = lambda sentence: None,
) -> Measured:
    """Ask `model` (None: the only one) for `seconds` with each number of clients.

    Asked is an `image`, the same each time, or random numbers that never come twice, so that no cache knows
    the answer. Raises InputError, TransferError, and what the server says where no request succeeds.
    """
    connect = _connecting(client)
    name = model or client.only_model()
    about = client.get(path_of(name))
    make = _image(image) if image else _numbers(about)
    rows: List[Row] = []
    said = []
    for clients in concurrency:
        of = f"{clients} client{'s' * (clients > 1)}"
        progress(f"{name}: {of} for {seconds:g} s")
        row, failure = _measure(client, connect, name, make, clients, seconds)
        rows.append(row)
        if failure is None:
            continue
        if all(one.failed == one.requests for one in rows):
            kind = BackendError if failure.status >= 500 else InputError
            raise kind(f"{name}: none of {row.requests} requests succeeded: {failure.cause()}")
        said.append(f"{row.failed} of {row.requests} requests of {of} failed: {failure.cause()}")
    return Measured(name, rows, said)


def _connecting(client: Client) -> Connect:
    """Connections to where the client asks: it is slow itself, so measuring goes without it."""
    uds = client.uds
    if uds is not None:
        return lambda: UnixConnection(uds, TIMEOUT_S)
    parts = urlsplit(client.url)
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    return lambda: kinds[parts.scheme](str(parts.hostname), parts.port, timeout=TIMEOUT_S)


class _Body:
    """What one client sends; `drawn` are the values of the first input that make each request another one."""

    def __init__(self, headers: Dict[str, str], data: bytes, drawn: Optional[_Drawn] = None) -> None:
        self.headers = {**headers, **token()}
        self._data, self._drawn = bytearray(data), drawn

    def next(self, draw: np.random.Generator) -> bytearray:
        if self._drawn is not None:
            at, dtype, count = self._drawn
            values = np.frombuffer(self._data, dtype, count, at)
            values[:] = (
                draw.random(count) if dtype.kind == "f" else draw.integers(0, _DRAWN[dtype.kind], count)
            )
        return self._data


def _image(path: Path) -> Callable[[], _Body]:
    data, kind = picture(path)
    return lambda: _Body({"Content-Type": kind}, data)


def _numbers(about: Dict[str, Any]) -> Callable[[], _Body]:
    """Requests in binary, of numbers from 0 to 1, or of small whole ones. Raises InputError."""
    inputs, data = [], b""
    draw = np.random.default_rng(1)
    drawn: Optional[_Drawn] = None
    for entry in about["inputs"]:
        datatype, shape = entry["datatype"], [side if side > 0 else 1 for side in entry["shape"]]
        dtype = TO_NUMPY.get(datatype)
        if dtype is None or dtype.kind == "O":
            raise InputError(
                f"The input '{entry['name']}' is {datatype}, for which nothing can be made up; give --image."
            )
        values = draw.random(shape) if dtype.kind == "f" else draw.integers(0, _DRAWN[dtype.kind], shape)
        tensor = values.astype(dtype).tobytes()
        parameters = {"binary_data_size": len(tensor)}
        inputs.append({"name": entry["name"], "datatype": datatype, "shape": shape, "parameters": parameters})
        drawn = drawn or (0, dtype, min(8, values.size))
        data += tensor
    text = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(text))}
    behind = (len(text), *drawn[1:]) if drawn else None
    return lambda: _Body(headers, text + data, behind)


def _measure(
    client: Client, connect: Connect, name: str, make: Callable[[], _Body], clients: int, seconds: float
) -> Tuple[Row, Optional[_Failure]]:
    """What so many clients met, and one of their failures, if any. Raises TransferError."""
    before = _hits(client, name)
    path = f"{path_of(name)}/infer"
    times: List[List[float]] = [[] for _client in range(clients)]
    failed = [0] * clients
    failures: List[_Failure] = []
    errors: List[Exception] = []
    barrier = threading.Barrier(clients + 1)

    def work(number: int) -> None:
        draw, body, connection = np.random.default_rng(), make(), connect()
        try:
            connection.connect()
            barrier.wait(TIMEOUT_S)
            until = time.perf_counter() + seconds
            while True:
                data = body.next(draw)
                begun = time.perf_counter()
                if begun >= until and times[number]:
                    break
                connection.request("POST", path, data, body.headers)
                answer = connection.getresponse()
                told = answer.read()
                times[number].append(time.perf_counter() - begun)
                if answer.status != 200:
                    failed[number] += 1
                    if not failures:
                        failures.append(_Failure(answer.status, told))
        except (OSError, http.client.HTTPException, threading.BrokenBarrierError) as error:
            errors.append(error)
            barrier.abort()
        finally:
            connection.close()

    threads: List[threading.Thread] = []
    begun = time.perf_counter()
    try:
        for number in range(clients):
            thread = threading.Thread(target=work, args=(number,))
            thread.start()
            threads.append(thread)
        barrier.wait(TIMEOUT_S)
        begun = time.perf_counter()
    except RuntimeError as error:  # no more threads, or the barrier is broken
        errors.append(error)
        barrier.abort()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - begun
    if errors:
        raise TransferError(_why_lost(client, clients, errors[0]))
    ordered = sorted(1000 * taken for one in times for taken in one)
    row = Row(
        concurrency=clients,
        requests=len(ordered),
        failed=sum(failed),
        per_s=round(len(ordered) / took, 1),
        p50_ms=_percentile(ordered, 50),
        p90_ms=_percentile(ordered, 90),
        p99_ms=_percentile(ordered, 99),
        cached=_hits(client, name) - before,
    )
    return row, next(iter(failures), None)


def _why_lost(client: Client, clients: int, error: Exception) -> str:
    """What to say of a connection that ended: a server that answers still was not lost."""
    said = (error.strerror if isinstance(error, OSError) else None) or str(error) or "they were not let in"
    no_thread = isinstance(error, RuntimeError) and not isinstance(error, threading.BrokenBarrierError)
    if no_thread or (isinstance(error, OSError) and error.errno in _OURS):
        return f"{clients} clients at once are more than this machine has room for ({said}); ask with fewer."
    # A Unix socket whose backlog is full says so at once; TCP has clients wait until they are sent away.
    crowd = isinstance(error, BlockingIOError) or (clients > 1 and _answers(client))
    if not crowd:
        return f"the server was lost ({said}); look at its log."
    return (
        f"{clients} clients at once are more than the server takes in ({said}); ask with fewer, or raise its "
        "serve.connections."
    )


def _answers(client: Client) -> bool:
    """Whether somebody serves there still, who may be busy with sending a crowd away."""
    for _attempt in range(_ATTEMPTS):
        try:
            client.get(MODELS)
        except EdgeAIError:
            time.sleep(_PAUSE_S)
        else:
            return True
    return False


def _percentile(ordered: Sequence[float], share: int) -> Optional[float]:
    return round(ordered[max(math.ceil(len(ordered) * share / 100), 1) - 1], 3) if ordered else None


def _hits(client: Client, name: str) -> int:
    (stats,) = client.get(f"{path_of(name)}/stats")["model_stats"]
    return int(stats["inference_stats"].get("cache_hit", {}).get("count", 0))
