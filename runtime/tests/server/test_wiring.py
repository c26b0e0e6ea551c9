"""Each part of the server is tested alone elsewhere; here, that what one says reaches the other."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import re
import threading
import time
import zlib
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

import pytest
import requests
import toys
from by_hand import ByHand
from machines import RASPBERRY_PI, THERMAL, make
from serving_process import BOUND_S

from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.backends.onnx import OnnxBackend

LONG, ENDLESS = 3000, 1 << 40  # rounds of the mill: a second or more; for as long as it is let
# The command as it is typed, but for where the machine tells of itself.
ELSEWHERE = """
import functools, pathlib, sys
from edgeai_runtime.cli import main
from edgeai_runtime.server import run
run.Watch = functools.partial(run.Watch, root=pathlib.Path(sys.argv.pop(1)))
sys.exit(main(sys.argv[1:]))
"""

Start = Callable[..., "Server"]


class Server:
    """The adder and the mill, by settings."""

    def __init__(self, by_hand: ByHand) -> None:
        self.by_hand = by_hand
        self.url = f"http://127.0.0.1:{by_hand.port}"

    def add(self, *values: float, **changes: Any) -> requests.Response:
        """Three numbers a row."""
        shape = [len(values) // 3, 3]
        tensor = {"name": "x", "datatype": "FP32", "shape": shape, "data": list(values)}
        return self._ask("adder", {"inputs": [tensor], **changes})

    def mill(self, rounds: int, **parameters: int) -> requests.Response:
        """Work for so many rounds."""
        tensor = {"name": "rounds", "datatype": "INT64", "shape": [1], "data": [rounds]}
        return self._ask("mill", {"inputs": [tensor], "parameters": parameters})

    def metric(self, name: str) -> Optional[float]:
        """Its value, None where there is none of that name."""
        text = requests.get(f"{self.url}/metrics", timeout=BOUND_S).text
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)
        return float(found[1]) if found else None

    def wait_for(self, name: str, is_so: Callable[[float], bool]) -> None:
        give_up = time.monotonic() + BOUND_S
        while not is_so(self.metric(name) or 0.0):
            assert time.monotonic() < give_up, f"{name} is {self.metric(name)}"

    def _ask(self, model: str, body: Dict[str, Any]) -> requests.Response:
        return requests.post(f"{self.url}/v2/models/{model}/infer", json=body, timeout=BOUND_S)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with contextlib.ExitStack() as running:

        def start(settings: str, **changes: Any) -> Server:
            (tmp_path / "adder.onnx").write_bytes(toys.add_one())
            (tmp_path / "mill.onnx").write_bytes(toys.laborious())
            (tmp_path / "settings.toml").write_text(f"schema = 1\n{settings}")
            words = ["adder.onnx", "mill.onnx", "--config", "settings.toml"]
            started = ByHand(tmp_path, *words, **changes)
            running.callback(started.close)
            return Server(started)

        yield start


class Asking:
    """A request in a thread of its own; `answer` is there once it `ended`, None where none came."""

    def __init__(self, ask: Callable[[], requests.Response]) -> None:
        self.answer: Optional[requests.Response] = None
        self._thread = threading.Thread(target=self._work, args=(ask,))
        self._thread.start()

    def ended(self) -> Optional[requests.Response]:
        self._thread.join()
        return self.answer

    def _work(self, ask: Callable[[], requests.Response]) -> None:
        with contextlib.suppress(requests.RequestException):  # the server was made to end before
            self.answer = ask()


PENDING = 'nv_inference_pending_request_count{model="mill",version="1"}'
IN_FLIGHT = "edgeai_requests_in_flight"


def counted(server: Server, metric: str, model: str) -> Optional[float]:
    return server.metric(f'{metric}{{model="{model}",version="1"}}')


class TestARequest:
    def test_of_a_higher_priority_overtakes_those_that_wait(self, start: Start) -> None:
        server = start("[models.mill]\npriority_levels = 2\ndefault_priority = 2\n")
        asking = [Asking(lambda: server.mill(LONG))]
        server.wait_for(IN_FLIGHT, lambda count: count == 1)
        # Whoever of these goes first leaves no time for others.
        asking.append(Asking(lambda: server.mill(ENDLESS)))
        server.wait_for(PENDING, lambda count: count == 1)
        asking.append(Asking(lambda: server.mill(ENDLESS + 1)))
        server.wait_for(PENDING, lambda count: count == 2)
        hurried = server.mill(1, priority=1)
        server.by_hand.process.kill()
        assert hurried.status_code == 200
        first, *others = [one.ended() for one in asking]
        assert first is not None
        assert others == [None, None]

    def test_that_may_not_wait_is_not_begun_later(self, start: Start) -> None:
        server = start("")
        long = Asking(lambda: server.mill(LONG))
        server.wait_for(IN_FLIGHT, lambda count: count == 1)
        patient = Asking(lambda: server.mill(1))
        hasty = server.mill(1, timeout=1)  # microseconds
        assert hasty.status_code == 429
        assert re.match(r"mill: the request waited \d+ ms, longer than it may", hasty.json()["error"])
        for one in (long, patient):
            answer = one.ended()
            assert answer is not None
            assert answer.status_code == 200
        assert counted(server, "nv_inference_count", "mill") == 2

    def test_like_one_that_is_under_way_is_not_computed_again(self, start: Start) -> None:
        server = start('[models.mill]\ncache = "on"\n')
        alike = [Asking(lambda: server.mill(LONG))]
        server.wait_for(IN_FLIGHT, lambda count: count == 1)
        alike.append(Asking(lambda: server.mill(LONG)))
        answers = [one.ended() for one in alike]
        assert [answer.json()["outputs"][0]["data"] for answer in answers if answer is not None] == [[1], [1]]
        assert counted(server, "nv_inference_count", "mill") == 1
        assert counted(server, "nv_cache_num_hits_per_model", "mill") == 1

    @pytest.mark.parametrize(("rows", "status"), [(100, 200), (2000, 413)])
    def test_is_as_large_as_the_settings_allow(self, start: Start, rows: int, status: int) -> None:
        server = start("[serve]\nbody_mb = 0.01\n")
        answer = server.add(*[1.0] * 3 * rows)
        assert answer.status_code == status
        if status == 413:
            assert "0.01 MB" in answer.json()["error"]


class TestWhatIsKept:
    def test_is_nothing_where_the_settings_give_it_no_room(self, start: Start) -> None:
        server = start('[serve]\ncache_mb = 0\n[models.adder]\ncache = "on"\n')
        for _again in range(4):
            assert server.add(1, 2, 3).json()["outputs"][0]["data"] == [2, 3, 4]
        assert counted(server, "nv_inference_count", "adder") == 4
        assert counted(server, "nv_cache_num_hits_per_model", "adder") == 0
        assert server.metric("edgeai_cache_limit_bytes") is None

    def test_is_no_more_than_the_settings_give_it_room_for(self, start: Start) -> None:
        server = start('[serve]\ncache_mb = 0.005\n[models.adder]\ncache = "on"\n')
        for number in range(10):
            for _again in range(3):
                assert server.add(number, 2, 3).json()["outputs"][0]["data"] == [number + 1, 3, 4]
        assert counted(server, "nv_cache_num_hits_per_model", "adder") == 10  # asked the third time
        assert server.metric("edgeai_cache_limit_bytes") == 5000
        assert 0 < (server.metric("edgeai_cache_bytes") or 0) <= 5000
        assert (server.metric("edgeai_cache_evictions") or 0) > 0


def test_a_hot_machine_makes_smaller_batches(start: Start, tmp_path: Path) -> None:
    machine = make(tmp_path / "machine", RASPBERRY_PI)
    make(machine, {f"{THERMAL}/thermal_zone0/temp": "86000"})
    settings = "[models.adder]\nbatching = 8\nmax_queue_delay_us = 3_000_000\n"
    server = start(settings, program=("-c", ELSEWHERE, str(machine)))
    # At the second look the first was acted upon.
    server.wait_for("edgeai_pressure", lambda pressure: 0 < pressure <= 0.5)
    asking = [Asking(partial(server.add, number, 2, 3)) for number in range(8)]
    for number, one in enumerate(asking):
        answer = one.ended()
        assert answer is not None
        assert answer.json()["outputs"][0]["data"] == [number + 1, 3, 4]
    assert max(batches(server)) <= 6


def test_a_cool_machine_makes_whole_batches(start: Start, tmp_path: Path) -> None:
    machine = make(tmp_path / "machine", RASPBERRY_PI)
    settings = "[models.adder]\nbatching = 8\nmax_queue_delay_us = 10_000_000\n"
    server = start(settings, program=("-c", ELSEWHERE, str(machine)))
    server.wait_for("edgeai_pressure", lambda pressure: pressure == 1)
    asking = [Asking(partial(server.add, number, 2, 3)) for number in range(8)]
    assert [one.ended() is not None for one in asking] == [True] * 8
    assert batches(server) == [8]


def batches(server: Server) -> List[int]:
    """The sizes of those that the adder worked on."""
    (stats,) = requests.get(f"{server.url}/v2/models/adder/stats", timeout=BOUND_S).json()["model_stats"]
    return [int(batch["batch_size"]) for batch in stats["batch_stats"]]


class TestAnAnswer:
    @pytest.fixture
    def ask(self, start: Start) -> Iterator[Callable[..., http.client.HTTPResponse]]:
        connection = start("").by_hand.connect()

        def ask(accepted: Optional[str], rows: int = 1000) -> http.client.HTTPResponse:
            tensor = {"name": "x", "datatype": "FP32", "shape": [rows, 3], "data": [1.0] * 3 * rows}
            connection.putrequest("POST", "/v2/models/adder/infer", skip_accept_encoding=True)
            body = json.dumps({"inputs": [tensor]}).encode()
            connection.putheader("Content-Length", str(len(body)))
            if accepted is not None:
                connection.putheader("Accept-Encoding", accepted)
            connection.endheaders(body)
            return connection.getresponse()

        yield ask
        connection.close()

    def test_is_compressed_as_the_client_takes_it(self, ask: Callable[..., http.client.HTTPResponse]) -> None:
        plain = ask(None)
        told = plain.read()
        assert json.loads(told)["outputs"][0]["data"] == [2.0] * 3000
        assert plain.getheader("Content-Encoding") is None
        for accepted, encoding, unpack in (
            ("gzip", "gzip", gzip.decompress),
            ("deflate", "deflate", zlib.decompress),
            ("br, Deflate", "deflate", zlib.decompress),
            ("deflate, gzip", "gzip", gzip.decompress),
        ):
            answer = ask(accepted)
            packed = answer.read()
            assert (answer.status, answer.getheader("Content-Encoding")) == (200, encoding)
            assert len(packed) < len(told) / 10
            assert unpack(packed) == told

    @pytest.mark.parametrize("accepted", ["identity", "br", ""])
    def test_is_plain_for_a_client_that_takes_nothing_else(
        self, ask: Callable[..., http.client.HTTPResponse], accepted: str
    ) -> None:
        answer = ask(accepted)
        assert json.loads(answer.read())["outputs"][0]["data"] == [2.0] * 3000
        assert answer.getheader("Content-Encoding") is None

    def test_of_a_few_bytes_is_plain(self, ask: Callable[..., http.client.HTTPResponse]) -> None:
        answer = ask("gzip", rows=1)
        assert json.loads(answer.read())["outputs"][0]["data"] == [2.0] * 3
        assert answer.getheader("Content-Encoding") is None


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_of_the_engine_do_not_spin_while_they_wait(tmp_path: Path, threads: int) -> None:
    (tmp_path / "adder.onnx").write_bytes(toys.add_one())
    backend = OnnxBackend.load(tmp_path / "adder.onnx", Execution(threads))
    session = backend._session
    assert session is not None
    options = session.get_session_options()
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (threads, 1)
