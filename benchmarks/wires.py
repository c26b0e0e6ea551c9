"""What a request looks like on the wire, and how its answer is read.

No two requests of a run are alike, or a cache would answer: the first value of the tensor carries a
number. Where it stands in the body (`hole`) is told, so that the load generator can write it there.
"""

from __future__ import annotations

import json
import struct
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, Mapping, Sequence

import numpy as np

if TYPE_CHECKING:
    from benchmarks.networks import Network


@dataclass(frozen=True)
class Message:
    """A request's headers and body, and where in the body the tensor's first value begins."""

    headers: Dict[str, str]
    body: bytes
    hole: int


class Wire(ABC):
    in_text = False  # how the number is written

    @abstractmethod
    def number(self, number: int) -> bytes:
        """How the first value is written; load.lua writes the same."""

    @abstractmethod
    def value(self, number: int) -> np.float32:
        """What is read from that: distinct for each number of a tensor, and from every other wire's."""

    @abstractmethod
    def request(self, network: Network, values: np.ndarray[Any, Any], number: int) -> Message:
        """To infer on one element (float32 [1, …]) whose first value is replaced."""

    @abstractmethod
    def answer(self, network: Network, headers: Mapping[str, str], body: bytes) -> np.ndarray[Any, Any]:
        """The output in an answer: float32 [1, classes]. Header names are lower case.

        Raises ValueError or KeyError for what is no such answer.
        """


class _Binary(Wire):
    """The float32 is its four bytes: those of 0.5 with the number in the mantissa."""

    def number(self, number: int) -> bytes:
        return struct.pack("<I", 0x3F000000 + number)

    def value(self, number: int) -> np.float32:
        return np.float32(struct.unpack("<f", self.number(number))[0])

    def tensor(self, values: np.ndarray[Any, Any], number: int) -> bytes:
        return self.number(number) + values.tobytes()[4:]


class V2Binary(_Binary):
    """Open Inference Protocol V2 with its binary tensor extension, both ways."""

    def request(self, network: Network, values: np.ndarray[Any, Any], number: int) -> Message:
        tensor = self.tensor(values, number)
        head = _v2(network, {"parameters": {"binary_data_size": len(tensor)}}, binary=True)
        headers = {
            "Content-Type": "application/octet-stream",
            "Inference-Header-Content-Length": str(len(head)),
        }
        return Message(headers, head + tensor, len(head))

    def answer(self, network: Network, headers: Mapping[str, str], body: bytes) -> np.ndarray[Any, Any]:
        head = headers.get("inference-header-content-length")
        if head is None:
            return V2_JSON.answer(network, headers, body)
        described = json.loads(body[: int(head)])["outputs"][0]
        return _shaped(np.frombuffer(body[int(head) :], np.float32), described["shape"])


class V2Json(Wire):
    """Open Inference Protocol V2 in JSON, both ways. The number is decimals of 0.4."""

    in_text = True

    def number(self, number: int) -> bytes:
        return b"0.4%07d" % number

    def value(self, number: int) -> np.float32:
        return np.float32(float(self.number(number)))

    def request(self, network: Network, values: np.ndarray[Any, Any], number: int) -> Message:
        data = b",".join([self.number(number), *(b"%.4f" % value for value in values.ravel()[1:])])
        before, after = _v2(network, {"data": []}).split(b'"data":[')
        body = before + b'"data":[' + data + after
        return Message({"Content-Type": "application/json"}, body, len(before) + len(b'"data":['))

    def answer(self, network: Network, headers: Mapping[str, str], body: bytes) -> np.ndarray[Any, Any]:
        described = json.loads(body)["outputs"][0]
        return _shaped(described["data"], described["shape"])


class Form(_Binary):
    """A form with the tensor as an uploaded file; the answer is a list in JSON."""

    def request(self, network: Network, values: np.ndarray[Any, Any], number: int) -> Message:
        head = (
            b'--part\r\nContent-Disposition: form-data; name="tensor"; filename="tensor"\r\n'
            b"Content-Type: application/octet-stream\r\n\r\n"
        )
        body = head + self.tensor(values, number) + b"\r\n--part--\r\n"
        return Message({"Content-Type": "multipart/form-data; boundary=part"}, body, len(head))

    def answer(self, network: Network, headers: Mapping[str, str], body: bytes) -> np.ndarray[Any, Any]:
        return _shaped(json.loads(body)["output"], [1, network.classes])


def _shaped(values: Any, shape: Sequence[int]) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = np.asarray(values, np.float32).reshape(shape)
    return array


def _v2(network: Network, data: Mapping[str, Any], binary: bool = False) -> bytes:
    given = {"name": network.input, "shape": [1, *network.shape], "datatype": "FP32", **data}
    asked = {"name": network.output, "parameters": {"binary_data": binary}}
    return json.dumps({"inputs": [given], "outputs": [asked]}, separators=(",", ":")).encode()


V2_BINARY = V2Binary()
V2_JSON = V2Json()
FORM = Form()
