"""Whatever a client does, it is refused in order; nobody else notices, and memory does not grow."""

from __future__ import annotations

import gzip
import json
import resource
import select
import socket
import struct
import time
import zlib
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest
import requests
import toys
from onnx import TensorProto
from serving_process import BOUND_S, ServingProcess, serving
from toys import Toy

MODELS = {
    "adder": Toy(toys.add_one()),
    "reader": Toy(toys.reader(widest=16), toys.READER, toys.LABELS),
    "divider": Toy(toys.divide()),
    "words": Toy(toys.echo(TensorProto.STRING, ["N"])),
}
TENSOR = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}
MIB = 1 << 20
GROWTH_MIB = 160  # what all of them together may leave: the largest body held is 32 MB, and that is read once


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingProcess]:
    with serving(toys.write_generation(tmp_path_factory.mktemp("generation"), MODELS)) as started:
        started.wait_for("accepting")
        yield started


@pytest.fixture(scope="module")
def url(process: ServingProcess) -> str:
    return process.url


@pytest.fixture(autouse=True)
def unharmed(process: ServingProcess, url: str) -> Iterator[None]:
    """After each test it serves as before it, and no error is its own."""
    yield
    body = {"inputs": [TENSOR]}
    answer = requests.post(f"{url}/v2/models/adder/infer", json=body, timeout=BOUND_S).json()
    assert answer["outputs"][0]["data"] == [2, 3, 4]
    told = requests.get(f"{url}/v2/health", timeout=BOUND_S).json()
    assert (told["errors"], told["in_flight"]) == (0, 0)
    assert peak_mib(process) < GROWTH_MIB


def peak_mib(process: ServingProcess) -> float:
    for line in Path(f"/proc/{process.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmHWM")


def asked(*inputs: Any, **more: Any) -> bytes:
    return json.dumps({"inputs": inputs, **more}).encode()


def png(width: int, height: int) -> bytes:
    """The header of an image of that size, and no pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def bits(size: int) -> Dict[str, str]:
    return {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(size)}


BINARY = asked({"name": "x", "datatype": "FP32", "shape": [1, 3], "parameters": {"binary_data_size": 12}})
IMAGE = {"Content-Type": "image/png"}
PACKED = {"Content-Encoding": "gzip"}


HOSTILE: Dict[str, Tuple[str, Dict[str, str], bytes, int]] = {
    "a body too large": ("adder", {}, b"x" * 32_000_001, 413),
    "a header too long": ("adder", {"X-Long": "x" * 40_000}, b"{}", 431),
    "too many headers": ("adder", {f"X-{number}": "x" * 30 for number in range(2000)}, b"{}", 431),
    "lists too deep": ("adder", {}, b'{"inputs": ' + b"[" * 500_000, 400),
    "objects too deep": ("adder", {}, b'{"inputs": ' + b'{"a":' * 500_000, 400),
    "too many inputs": (
        "adder",
        {},
        asked(*[dict(TENSOR, name=f"x{number}") for number in range(20_000)]),
        400,
    ),
    "one input again and again": ("adder", {}, asked(*[TENSOR] * 20_000), 400),
    "a negative side": ("adder", {}, asked(dict(TENSOR, shape=[-1, 3])), 400),
    "sides beyond counting": ("adder", {}, asked(dict(TENSOR, shape=[1 << 62, 1 << 62])), 400),
    "sides beyond counting and none": (
        "adder",
        {},
        asked(dict(TENSOR, shape=[0, 1 << 39, 1 << 39], data=[])),
        400,
    ),
    "too many sides": ("adder", {}, asked(dict(TENSOR, shape=[1] * 100_000)), 400),
    "too few values": ("adder", {}, asked(dict(TENSOR, data=[1, 2])), 400),
    "a value that is none": ("adder", {}, asked(dict(TENSOR, data=[1, 2, {}])), 400),
    "texts for numbers": ("adder", {}, asked(dict(TENSOR, data=["1", "2", "3"])), 400),
    "one long text among many": ("adder", {}, asked(dict(TENSOR, data=["a" * 200_000, *[""] * 3000])), 400),
    "one long text among many texts": (
        "adder",
        {},
        asked(dict(TENSOR, datatype="BYTES", data=["a" * 200_000, *[""] * 3000])),
        400,
    ),
    "numbers and texts": ("adder", {}, asked(dict(TENSOR, datatype="BYTES", data=[1, "a", "b"])), 400),
    "empty lists without end": ("adder", {}, b'{"inputs":[' + b"[]," * 3_000_000 + b"[]]}", 400),
    "a number of many digits": (
        "adder",
        {},
        asked(TENSOR).replace(b"[1, 2, 3]", b"[1, 2, " + b"9" * 1_000_000 + b"]"),
        400,
    ),
    "a number beyond all": (
        "adder",
        {},
        asked(TENSOR).replace(b"[1, 2, 3]", b"[1, 2, 1" + b"0" * 400 + b"]"),
        400,
    ),
    "an unknown datatype": ("adder", {}, asked(dict(TENSOR, datatype="FP128")), 400),
    "an unknown input": ("adder", {}, asked(dict(TENSOR, name="other")), 400),
    "an unknown output": ("adder", {}, asked(TENSOR, outputs=[{"name": "other"}]), 400),
    "one output again and again": ("adder", {}, asked(TENSOR, outputs=[{"name": "y"}] * 20_000), 400),
    "no class": (
        "adder",
        {},
        asked(TENSOR, outputs=[{"name": "y", "parameters": {"classification": -1}}]),
        400,
    ),
    "a long name": ("adder", {}, asked(dict(TENSOR, name="x" * 1_000_000)), 400),
    "a long name with a wrong shape": (
        "adder",
        {},
        asked(dict(TENSOR, name="x" * 1_000_000, shape=[-1])),
        400,
    ),
    "a long name of an output": ("adder", {}, asked(TENSOR, outputs=[{"name": "x" * 1_000_000}]), 400),
    "half a surrogate pair in a name": ("adder", {}, asked(dict(TENSOR, name="\ud800")), 400),
    "half a surrogate pair in an id": ("adder", {}, asked(TENSOR, id="\ud800"), 400),
    "half a surrogate pair in bytes": ("adder", {}, b'{"id":"\xed\xa0\x80"}', 400),
    "half a surrogate pair in UTF-16": (
        "adder",
        {},
        '{"id":"\ud800"}'.encode("utf-16", "surrogatepass"),
        400,
    ),
    "the class of a text": (
        "words",
        {},
        asked(
            {"name": "x", "datatype": "BYTES", "shape": [1], "data": ["a"]},
            outputs=[{"name": "y", "parameters": {"classification": 1}}],
        ),
        400,
    ),
    "a byte too few": ("adder", bits(len(BINARY)), BINARY + b"x" * 11, 400),
    "a byte too many": ("adder", bits(len(BINARY)), BINARY + b"x" * 13, 400),
    "JSON longer than the body": ("adder", bits(len(BINARY) + 100), BINARY, 400),
    "JSON longer than any": ("adder", bits(1 << 62), BINARY, 400),
    "JSON of a length of many digits": (
        "adder",
        {"Inference-Header-Content-Length": "9" * 5000},
        BINARY,
        400,
    ),
    "JSON of a negative length": ("adder", bits(-1), BINARY, 400),
    "no whole number of values": ("adder", bits(0), b"x" * 13, 400),
    "unpacked too large": ("adder", PACKED, gzip.compress(bytes(64 * MIB)), 413),
    "packed and cut off": ("adder", PACKED, gzip.compress(b"{}")[:-9], 400),
    "not packed": ("adder", PACKED, b"not packed", 400),
    "a picture too large": ("reader", IMAGE, png(100_000, 100_000), 400),
    "a picture without pixels": ("reader", IMAGE, png(8, 8), 400),
    "a picture cut off": ("reader", IMAGE, toys.picture("A")[:40], 400),
    "a picture that is none": ("reader", {"Content-Type": "image/jpeg"}, b"\xff\xd8\xff" + b"\0" * 1000, 400),
    "no picture": ("reader", IMAGE, b"", 400),
    "an unknown model": ("nobody", {}, asked(TENSOR), 404),
    "an unknown version": ("adder/versions/9", {}, asked(TENSOR), 404),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_it_is_the_clients_mistake_in_one_sentence(url: str, what: str) -> None:
    model, headers, body, status = HOSTILE[what]
    answer = requests.post(f"{url}/v2/models/{model}/infer", body, headers=headers, timeout=BOUND_S)
    assert answer.status_code == status, answer.text[:500]
    sentence = answer.json()["error"]
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert len(sentence) < 1000


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_go_through_the_model(url: str, word: str) -> None:
    body = asked(TENSOR).replace(b"[1, 2, 3]", f"[{word}, 2, 3]".encode())
    answer = requests.post(f"{url}/v2/models/adder/infer", body, timeout=BOUND_S)
    assert answer.status_code == 200
    assert answer.json()["outputs"][0]["data"] == [None, 3, 4]


def test_the_classes_of_no_rows_are_none(url: str) -> None:
    wish = {"name": "y", "parameters": {"classification": 2}}
    body = asked(dict(TENSOR, shape=[0, 3], data=[]), outputs=[wish])
    answer = requests.post(f"{url}/v2/models/adder/infer", body, timeout=BOUND_S)
    assert answer.status_code == 200
    assert (answer.json()["outputs"][0]["shape"], answer.json()["outputs"][0]["data"]) == ([0, 2], [])


def test_what_is_remembered_of_requests_stays_small(url: str, process: ServingProcess) -> None:
    """Each of these has JSON of its own in front of its bytes."""
    before = peak_mib(process)
    for number in range(12):
        text = BINARY + b" " * (12_000_000 + number)
        answer = requests.post(
            f"{url}/v2/models/adder/infer", text + bytes(12), headers=bits(len(text)), timeout=BOUND_S
        )
        assert answer.status_code == 200
    assert peak_mib(process) - before < 80


def connect(url: str) -> socket.socket:
    host, _colon, port = url[len("http://") :].partition(":")
    return socket.create_connection((host, int(port)), timeout=BOUND_S)


REQUEST = b"POST /v2/models/adder/infer HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(asked(TENSOR)) + asked(
    TENSOR
)


@pytest.mark.parametrize("cut", [1, 40, len(REQUEST) - 1, len(REQUEST)])
def test_a_client_that_hangs_up_wherever_it_is_disturbs_nobody(url: str, cut: int) -> None:
    for _turn in range(50):
        client = connect(url)
        client.sendall(REQUEST[:cut])
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # resets it
        client.close()


@pytest.fixture
def files() -> Iterator[None]:
    """A thousand connections take as many descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2500:
        pytest.skip(f"only {hard} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2500), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_thousand_connections_are_all_served_in_turn(url: str, files: None) -> None:
    clients = [connect(url) for _turn in range(1000)]
    for client in clients:
        client.sendall(REQUEST)
    waiting, answers = {client.fileno(): client for client in clients}, 0
    poll = select.poll()
    for descriptor in waiting:
        poll.register(descriptor, select.POLLIN)
    give_up = time.monotonic() + BOUND_S
    while waiting:
        assert time.monotonic() < give_up, f"{len(waiting)} were not answered"
        for descriptor, _event in poll.poll(1000):
            answers += waiting.pop(descriptor).recv(1 << 16).startswith(b"HTTP/1.1 200 ")
            poll.unregister(descriptor)
    assert answers == 1000
    for client in clients:
        client.close()


def test_those_who_send_slowly_keep_nobody_out(url: str, files: None) -> None:
    """More than may connect, each with a request that does not come to its end."""
    crowd: List[socket.socket] = [connect(url) for _turn in range(400)]
    for client in crowd:
        client.sendall(REQUEST[:60])
    client = connect(url)
    client.sendall(REQUEST)
    assert client.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
    for each in (*crowd, client):
        each.close()
