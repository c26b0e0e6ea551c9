"""Tensors on the wire: lists in JSON and raw little-endian bytes, to and from numpy."""

from __future__ import annotations

import json
import math
import struct
import sys
from itertools import chain
from typing import Any, Dict, List, Sequence, Set

import numpy as np

from edgeai_runtime.backends.datatypes import TO_NUMPY
from edgeai_runtime.errors import InputError

# What the values of a JSON list may be, for each kind of datatype.
_ACCEPTED: Dict[str, Set[type]] = {"b": {bool}, "u": {int}, "i": {int}, "f": {int, float}, "O": {str}}
_PIECE = 10_000
_encode = json.JSONEncoder(ensure_ascii=False).encode
MOST = 1 << 48  # values of a tensor, where the sides that are 0 are left out
_LITTLE = {name: dtype.newbyteorder("<") for name, dtype in TO_NUMPY.items()}


def from_json(name: str, datatype: str, shape: Sequence[int], data: Any) -> np.ndarray[Any, Any]:
    """A list, flat or nested in row-major order, to an array. Raises InputError."""
    dtype = dtype_of(name, datatype)
    values = _flat(name, data)
    if not set(map(type, values)) <= _ACCEPTED[dtype.kind]:
        raise InputError(
            f"The input '{name}' does not hold {datatype} values; send these, or correct 'datatype'."
        )
    _check_size(name, shape, len(values))
    if dtype.kind in "ui" and values:
        limits = np.iinfo(dtype)
        if min(values) < limits.min or max(values) > limits.max:
            raise InputError(
                f"The input '{name}' holds values outside {datatype} "
                f"({limits.min} to {limits.max}); correct them."
            )
    try:
        with np.errstate(over="ignore"):  # what is too large for FP16 or FP32 is infinite there
            array: np.ndarray[Any, Any] = np.array(values, dtype=dtype).reshape(shape)
    except OverflowError:
        raise InputError(f"The input '{name}' holds a number beyond all of {datatype}; correct it.") from None
    return array


def _flat(name: str, data: Any) -> List[Any]:
    """The values of a list, nested to whatever depth; all lists of a depth are of one length."""
    level: List[Any] = data if isinstance(data, list) else [data]
    while level and isinstance(level[0], list):
        if set(map(type, level)) != {list} or len(set(map(len, level))) > 1:
            raise InputError(f"The input '{name}' has lists of different lengths; send a regular one.")
        level = list(chain.from_iterable(level))
    return level


def from_bytes(name: str, datatype: str, shape: Sequence[int], data: memoryview) -> np.ndarray[Any, Any]:
    """Raw bytes to an array, without a copy where the machine can read it in place. Raises InputError.

    Row-major, little-endian; each element of BYTES is a 4-byte length and that many bytes
    (https://github.com/triton-inference-server/server, protocol/extension_binary_data).
    """
    dtype = dtype_of(name, datatype)
    if datatype == "BYTES":
        texts = _texts(name, data)
        _check_size(name, shape, len(texts))
        array: np.ndarray[Any, Any] = np.empty(len(texts), dtype=dtype)
        array[:] = texts
        return array.reshape(shape)
    if len(data) % dtype.itemsize:
        raise InputError(f"The input '{name}' has {len(data)} bytes, no whole number of {datatype} values.")
    array = np.frombuffer(data, dtype=_LITTLE[datatype])
    _check_size(name, shape, array.size)
    if not array.flags.aligned or array.dtype != dtype:
        array = array.astype(dtype)
    return array.reshape(shape)


def to_bytes(array: np.ndarray[Any, Any]) -> bytes:
    """Raw bytes as `from_bytes` reads them; text is written as UTF-8."""
    if array.dtype.kind == "O":
        values = [value if isinstance(value, bytes) else str(value).encode() for value in array.flat]
        return b"".join([struct.pack("<I", len(value)) + value for value in values])
    if sys.byteorder == "big":
        array = array.astype(array.dtype.newbyteorder("<"))
    return array.tobytes()


def to_json(array: np.ndarray[Any, Any]) -> str:
    """The values in row-major order as a JSON list: bytes are read as UTF-8; NaN and the infinities,
    which JSON has not, are null.

    In pieces: encoding a large tensor at a stroke would keep every other thread waiting for seconds.
    """
    flat = array.reshape(-1)
    pieces = (flat[start : start + _PIECE] for start in range(0, flat.size, _PIECE))
    return f"[{','.join([_encode(_values(piece))[1:-1] for piece in pieces])}]"


def _values(array: np.ndarray[Any, Any]) -> List[Any]:
    values: List[Any] = array.tolist()
    if array.dtype.kind == "O":
        return [value.decode(errors="replace") if isinstance(value, bytes) else value for value in values]
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return [value if math.isfinite(value) else None for value in values]
    return values


def dtype_of(name: str, datatype: str) -> np.dtype[Any]:
    """The numpy dtype of a V2 datatype. Raises InputError naming those that exist."""
    if datatype not in TO_NUMPY:
        raise InputError(
            f"The input '{name}' has the datatype '{datatype[:40]}', expected one of {', '.join(TO_NUMPY)}."
        )
    return TO_NUMPY[datatype]


def _check_size(name: str, shape: Sequence[int], size: int) -> None:
    if math.prod(shape) != size:
        raise InputError(
            f"The input '{name}' has {size} values, its shape {list(shape)} needs {math.prod(shape)}."
        )
    # numpy counts without the sides that are 0.
    if not size and math.prod(max(1, side) for side in shape) > MOST:
        raise InputError(f"'shape' of '{name}' is {list(shape)}, which is too large; correct it.")


def _texts(name: str, data: memoryview) -> List[str]:
    texts: List[str] = []
    offset = 0
    while offset < len(data):
        if offset + 4 > len(data):
            raise InputError(
                f"The input '{name}' ends inside a length; send 4 bytes of length for each value."
            )
        (length,) = struct.unpack_from("<I", data, offset)
        offset += 4
        if offset + length > len(data):
            raise InputError(f"The input '{name}' ends inside a value of {length} bytes; send it whole.")
        try:
            texts.append(bytes(data[offset : offset + length]).decode())
        except UnicodeDecodeError:
            raise InputError(f"The input '{name}' holds a value that is not UTF-8; send text.") from None
        offset += length
    return texts
