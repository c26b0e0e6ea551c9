"""Measure a model where it is served, as a client sees it.

The client is Python: beyond some thousand requests a second it measures itself. `make bench-serving` in the
repository compares servers with a faster one.
"""

from __future__ import annotations

import http.client
import json
import math
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple
from urllib.parse import urlsplit

import numpy as np

from edgeai_runtime.backends.datatypes import TO_NUMPY
from edgeai_runtime.errors import InputError, TransferError
from edgeai_runtime.monitor.asking import UnixConnection

TIMEOUT_S = 60.0
_DRAWN = {"b": 2, "i": 100, "u": 100}  # whole numbers below that, by the kind of dtype
_Drawn = Tuple[int, "np.dtype[Any]", int]  # where in the body, of which type, how many
Connect = Callable[[], http.client.HTTPConnection]


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


def bench(
    connect: Connect,
    model: Optional[str],
    concurrency: Sequence[int],
    seconds: float,
    image: Optional[Path] = None,
    progress: Callable[[str], None] = lambda sentence: None,
) -> Tuple[str, List[Row]]:
    """Ask `model` (None: the only one) for `seconds` with each number of clients; its name, and a row each.

    Asked is an `image`, the same each time, or random numbers that never come twice, so that no cache knows
    the answer. Raises InputError, TransferError.
    """
    name = model or _only_model(connect)
    about = _get(connect, f"/v2/models/{name}")
    make = _image(image) if image else _numbers(about)
    rows = []
    for clients in concurrency:
        progress(f"{name}: {clients} client{'s' * (clients > 1)} for {seconds:g} s")
        rows.append(_measure(connect, name, make, clients, seconds))
    return name, rows


def connecting(url: Optional[str], uds: Optional[Path]) -> Connect:
    """How to reach a server: by its Unix socket, or by a URL. Raises InputError."""
    if uds is not None:
        return lambda: UnixConnection(uds, TIMEOUT_S)
    parts = urlsplit(url or "")
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    if parts.scheme not in kinds or not parts.hostname:
        raise InputError(f"'{url}' is no address of a server, expected one like http://127.0.0.1:8080.")
    return lambda: kinds[parts.scheme](str(parts.hostname), parts.port, timeout=TIMEOUT_S)


class _Body:
    """What one client sends; `drawn` are the values of the first input that make each request another one."""

    def __init__(self, headers: Dict[str, str], data: bytes, drawn: Optional[_Drawn] = None) -> None:
        self.headers = {**headers, **_token()}
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
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path.") from None
    kind = "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"
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


def _token() -> Dict[str, str]:
    token = os.environ.get("EDGEAI_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _measure(connect: Connect, name: str, make: Callable[[], _Body], clients: int, seconds: float) -> Row:
    before = _hits(connect, name)
    times: List[List[float]] = [[] for _client in range(clients)]
    failed = [0] * clients
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
                if begun >= until:
                    break
                connection.request("POST", f"/v2/models/{name}/infer", data, body.headers)
                answer = connection.getresponse()
                answer.read()
                times[number].append(time.perf_counter() - begun)
                failed[number] += answer.status != 200
        except (OSError, http.client.HTTPException, threading.BrokenBarrierError) as error:
            errors.append(error)
            barrier.abort()
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    begun = time.perf_counter()
    try:
        barrier.wait(TIMEOUT_S)
        begun = time.perf_counter()
    except threading.BrokenBarrierError:
        pass
    for thread in threads:
        thread.join()
    took = time.perf_counter() - begun
    if errors:
        raise TransferError(f"the server was lost ({errors[0]}); look at its log.")
    ordered = sorted(1000 * taken for one in times for taken in one)
    return Row(
        concurrency=clients,
        requests=len(ordered),
        failed=sum(failed),
        per_s=round(len(ordered) / took, 1),
        p50_ms=_percentile(ordered, 50),
        p90_ms=_percentile(ordered, 90),
        p99_ms=_percentile(ordered, 99),
        cached=_hits(connect, name) - before,
    )


def _percentile(ordered: Sequence[float], share: int) -> Optional[float]:
    return round(ordered[max(math.ceil(len(ordered) * share / 100), 1) - 1], 3) if ordered else None


def _hits(connect: Connect, name: str) -> int:
    (stats,) = _get(connect, f"/v2/models/{name}/stats")["model_stats"]
    return int(stats["inference_stats"].get("cache_hit", {}).get("count", 0))


def _only_model(connect: Connect) -> str:
    names = [str(model["name"]) for model in _get(connect, "/v2/models")]
    if len(names) != 1:
        raise InputError(f"The models served are: {', '.join(sorted(names)) or 'none'}; name one.")
    return names[0]


def _get(connect: Connect, path: str) -> Any:
    connection = connect()
    try:
        connection.request("GET", path, headers=_token())
        answer = connection.getresponse()
        told = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise TransferError(f"no server answers there ({error}); check the address.") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise InputError(str(told.get("error", f"HTTP {answer.status}")))
    return told
