"""A model as its graph and its tensors: what a new version did not change is neither fetched nor kept twice.

The graph is the ONNX file with each larger tensor as external data, a file named as the store names
it: `ab/ab12…` below the directory `sha256/`. So it loads in place, from a device's store as from a
depot's directory, without a link (which onnx refuses) and without a copy.

The file is rewritten on the level of protobuf's wire format, since that is the same byte for byte
with every version of onnx: equal models have equal digests.
https://protobuf.dev/programming-guides/encoding, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Tuple

from edgeai_runtime.errors import InputError
from edgeai_runtime.release.contents import Content, Part
from edgeai_runtime.release.digest import blob_place
from edgeai_runtime.release.parts import Blob

# Below it a file of its own, its name in the graph and a request cost more than they save.
LEAST_SIZE = 4096
# Of a model, in bytes: what protobuf reads at most.
LARGEST_MODEL = (1 << 31) - 1

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# The messages that lead to tensors, by field number, in onnx.proto.
_MODEL = {7: "graph"}
_INSIDE: Dict[str, Dict[int, str]] = {
    "graph": {1: "node", 5: "tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph"},
}
_DATA_TYPE, _FLOAT_DATA, _RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 2, 4, 9, 13, 14
_FLOAT, _EXTERNAL = 1, 1


class SplitModel(NamedTuple):
    """`contents` says where the content of the graph and of each tensor lies (sha256 -> content)."""

    graph: Blob
    tensors: Tuple[Blob, ...]
    contents: Dict[str, Content]


def split_model(path: Path, origin: str) -> SplitModel:
    """The graph and the tensors of a model file; a file without larger tensors is its own graph.

    So is what is no ONNX file: a device that converts it says what is wrong with it.
    Raises InputError for a model that keeps its weights in other files, or is too large for ONNX's format.
    """
    size = path.stat().st_size
    if size > LARGEST_MODEL:
        raise InputError(
            f"{origin}: the model has {size / 1e9:.1f} GB, and an ONNX file is read up to 2 GB; "
            "export a smaller one, or its weights as fp16."
        )
    data = path.read_bytes()
    found: Dict[str, Part] = {}
    try:
        graph = _Splitter(path, data, origin, found).message(0, len(data), _MODEL)
    except _NotProtobuf:
        found = {}
    if not found:
        whole = Blob(hashlib.sha256(data).hexdigest(), len(data))
        return SplitModel(whole, (), {whole.sha256: path})
    named = Blob(hashlib.sha256(graph).hexdigest(), len(graph))
    tensors = tuple(Blob(sha256, found[sha256].size) for sha256 in sorted(found))
    return SplitModel(named, tensors, {named.sha256: graph, **found})


class _NotProtobuf(Exception):
    """These bytes are no protobuf message."""


class _Field(NamedTuple):
    """A field with its tag from `start` on, its value in `begin` to `end`; `value` is a varint's."""

    number: int
    kind: int
    start: int
    begin: int
    end: int
    value: int


class _Splitter:
    """Writes messages of `data` anew without their larger tensors, which are noted in `found`."""

    def __init__(self, path: Path, data: bytes, origin: str, found: Dict[str, Part]) -> None:
        self._path = path
        self._data = data
        self._origin = origin
        self._found = found

    def message(self, begin: int, end: int, inside: Dict[int, str]) -> bytes:
        written: List[bytes] = []
        for field in self._fields(begin, end):
            name = inside.get(field.number)
            if name is None or field.kind != _BYTES:
                written.append(self._data[field.start : field.end])
                continue
            if name == "tensor":
                content = self._tensor(field.begin, field.end)
            else:
                content = self.message(field.begin, field.end, _INSIDE[name])
            written.append(_bytes_field(field.number, content))
        return b"".join(written)

    def _tensor(self, begin: int, end: int) -> bytes:
        fields = list(self._fields(begin, end))
        if any(field.number == _DATA_LOCATION and field.value == _EXTERNAL for field in fields):
            raise InputError(
                f"{self._origin}: {self._path.name} keeps its weights in other files; "
                "save the model as one file."
            )
        values = [field for field in fields if field.number in _values_of(fields) and field.kind == _BYTES]
        if len(values) != 1 or values[0].end - values[0].begin < LEAST_SIZE:
            return self._data[begin:end]
        (value,) = values
        size = value.end - value.begin
        sha256 = hashlib.sha256(memoryview(self._data)[value.begin : value.end]).hexdigest()
        self._found[sha256] = Part(self._path, value.begin, size)
        moved = (value.number, _DATA_LOCATION)
        kept = [self._data[field.start : field.end] for field in fields if field.number not in moved]
        for key, text in (("location", blob_place(sha256)), ("length", str(size))):
            entry = _bytes_field(1, key.encode()) + _bytes_field(2, text.encode())
            kept.append(_bytes_field(_EXTERNAL_DATA, entry))
        kept.append(_varint(_DATA_LOCATION << 3 | _VARINT) + _varint(_EXTERNAL))
        return b"".join(kept)

    def _fields(self, begin: int, end: int) -> Iterator[_Field]:
        position = begin
        while position < end:
            start = position
            tag, position = self._read_varint(position, end)
            number, kind, value = tag >> 3, tag & 7, 0
            if kind == _VARINT:
                first = position
                value, position = self._read_varint(position, end)
            elif kind == _BYTES:
                size, first = self._read_varint(position, end)
                position = first + size
            elif kind in (_FIXED32, _FIXED64):
                first = position
                position += 4 if kind == _FIXED32 else 8
            else:
                raise _NotProtobuf
            if number == 0 or position > end:
                raise _NotProtobuf
            yield _Field(number, kind, start, first, position, value)

    def _read_varint(self, position: int, end: int) -> Tuple[int, int]:
        value = 0
        for shift in range(0, 70, 7):
            if position >= end:
                break
            byte = self._data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, position
        raise _NotProtobuf


def _values_of(fields: List[_Field]) -> Tuple[int, ...]:
    """The fields that hold a tensor's values as external data has them: packed floats are the same bytes."""
    of_floats = any(field.number == _DATA_TYPE and field.value == _FLOAT for field in fields)
    return (_RAW_DATA, _FLOAT_DATA) if of_floats else (_RAW_DATA,)


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _bytes_field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content
