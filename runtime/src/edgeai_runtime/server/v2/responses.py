"""Inference answers: JSON, and behind it the raw bytes of those outputs that were wanted so."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np

from edgeai_runtime.backends.base import Tensors
from edgeai_runtime.backends.datatypes import datatype_of
from edgeai_runtime.errors import InputError
from edgeai_runtime.protocol import tensors
from edgeai_runtime.protocol.requests import Asked, Wish
from edgeai_runtime.server.messages import Response

JSON_SIZE = "Inference-Header-Content-Length"
_BINARY = "application/octet-stream"


class Writer:
    """Writes the answers of one model; `labels` are its classes' names, `batched` whether the first dimension
    of its outputs counts rows of a batch.
    """

    def __init__(self, name: str, version: str, labels: Optional[Sequence[str]], batched: bool) -> None:
        self._labels, self._batched = labels, batched
        self._about = _json({"model_name": name, "model_version": version})[:-1]
        self._name = f"{name} {version}"

    def check(self, asked: Asked, there: Sequence[str]) -> None:
        """That the outputs asked for are `there`. Raises InputError."""
        for wish in asked.outputs or ():
            if wish.name not in there:
                raise InputError(
                    f"{self._name} has no output '{wish.name[:100]}', only {', '.join(there)}; ask for these."
                )

    def write(self, outputs: Tensors, asked: Asked) -> Response:
        """The answer to `asked`, which was checked."""
        wishes = asked.outputs
        if wishes is None:
            wishes = tuple([Wish(name, asked.binary, 0) for name in outputs])
        described: List[str] = []
        behind: List[bytes] = []
        shapes: List[Any] = []
        plain = True
        for wish in wishes:
            array = outputs[wish.name]
            plain = plain and wish.binary and not wish.classes and array.dtype.kind != "O"
            shapes.append((array.shape, array.dtype.char))
        key = tuple(shapes)
        head = asked.heads.get(key) if plain else None
        if head is None:
            for wish in wishes:
                array = outputs[wish.name]
                if wish.classes:
                    array = classify(array, wish.classes, self._labels, self._batched)
                described.append(_describe(wish, array, behind))
            head = self._json(asked, described)
            if plain and len(asked.heads) < 16:
                asked.heads[key] = head
        else:
            behind = [tensors.to_bytes(outputs[wish.name]) for wish in wishes]
        if not behind:
            return Response(200, head)
        return Response(200, b"".join([head, *behind]), _BINARY, {JSON_SIZE: str(len(head))})

    def _json(self, asked: Asked, described: Sequence[str]) -> bytes:
        identifier = "" if asked.id is None else f',"id":{_json(asked.id)}'
        return f'{self._about}{identifier},"outputs":[{",".join(described)}]}}'.encode()


def classify(
    array: np.ndarray[Any, Any], count: int, labels: Optional[Sequence[str]], batched: bool
) -> np.ndarray[Any, Any]:
    """The `count` highest values of each row, the highest first, as "value:index" or "value:index:label".

    BYTES [rows, count], or [count] of a model without a batch dimension. Raises InputError for text.
    """
    if array.dtype.kind == "O":
        raise InputError("A 'classification' is of numbers, and this output is text; ask for it as it is.")
    count_of_rows = array.shape[0] if batched and array.ndim else 1
    rows = array.reshape(count_of_rows, math.prod(array.shape[1:] if batched else array.shape))
    count = min(count, rows.shape[1])
    told: np.ndarray[Any, Any] = np.empty((rows.shape[0], count), dtype=np.object_)
    for number, row in enumerate(rows):
        for place, index in enumerate(np.argsort(-row.astype(np.float64), kind="stable")[:count]):
            value = f"{row[index]:f}" if row.dtype.kind == "f" else str(row[index])
            label = f":{labels[index]}" if labels and index < len(labels) else ""
            told[number, place] = f"{value}:{index}{label}"
    return told if batched else told[0]


def _describe(wish: Wish, array: np.ndarray[Any, Any], behind: List[bytes]) -> str:
    head = _head(wish.name, datatype_of(array), array.shape)
    if wish.binary:
        behind.append(tensors.to_bytes(array))
        return f'{head},"parameters":{{"binary_data_size":{len(behind[-1])}}}}}'
    return f'{head},"data":{tensors.to_json(array)}}}'


@lru_cache(maxsize=256)
def _head(name: str, datatype: str, shape: Tuple[int, ...]) -> str:
    """Of an output's description all but its end."""
    return _json({"name": name, "datatype": datatype, "shape": list(shape)})[:-1]


_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
