"""Inference requests: the JSON in front, and the raw bytes of tensors behind it."""

from __future__ import annotations

import json
import math
from typing import Any, Dict, Hashable, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from edgeai_runtime.backends.base import Tensors, TensorSpec
from edgeai_runtime.backends.datatypes import TO_NUMPY
from edgeai_runtime.errors import InputError
from edgeai_runtime.protocol import tensors
from edgeai_runtime.protocol.texts import read_json

MOST_INPUTS = 256


class Given(NamedTuple):
    """An input: `size` bytes behind the JSON, or the `data` that was in it."""

    name: str
    datatype: str
    shape: Tuple[int, ...]
    size: int = 0
    data: Optional[np.ndarray[Any, Any]] = None


class Wish(NamedTuple):
    """An output that was asked for; `classes`: so many of the highest, as text, 0 for the tensor itself."""

    name: str
    binary: bool
    classes: int


class Asked:
    """What the JSON of a request says.

    A client that sends the same JSON again, with other bytes behind it, is given the same object; `heads`
    is where the JSON of its answers is kept. `outputs` None: all; `binary`: as bytes, unless an output says
    otherwise. `timeout_us` and `priority`: 0 for the model's own.
    """

    def __init__(
        self,
        inputs: Tuple[Given, ...],
        outputs: Optional[Tuple[Wish, ...]] = None,
        binary: bool = False,
        identifier: Optional[str] = None,
        priority: int = 0,
        timeout_us: int = 0,
    ) -> None:
        self.inputs, self.outputs, self.binary, self.id = inputs, outputs, binary, identifier
        self.priority, self.timeout_us = priority, timeout_us
        self.behind = sum(given.size for given in inputs)  # bytes
        self.reusable = all(given.data is None for given in inputs)
        self.heads: Dict[Hashable, bytes] = {}
        self.in_bytes = (
            binary if outputs is None else all(wish.binary and not wish.classes for wish in outputs)
        )
        wanted = None if outputs is None else tuple((wish.name, wish.classes) for wish in outputs)
        # What the answer depends on besides the values: who waits for another's waits as long as that may.
        # Where an input's bytes end, and which of them were in the JSON, tells whose bytes they are.
        given_as = tuple(
            (given.name, given.datatype, given.shape, given.size, given.data is None) for given in inputs
        )
        self.meta: Hashable = (given_as, wanted, priority, timeout_us)

    def values(self) -> Iterator[bytes]:
        """Of each input that was in the JSON: its values as bytes, the same for the same values."""
        for given in self.inputs:
            if given.data is not None:
                text = given.data.dtype.kind == "O"
                yield repr(given.data.tolist()).encode() if text else given.data.tobytes()

    def feeds(self, raw: memoryview) -> Tensors:
        """The inputs by name, those behind the JSON out of `raw` without a copy. Raises InputError."""
        if len(raw) != self.behind:
            raise InputError(
                f"{len(raw)} bytes follow the JSON and the inputs' binary_data_size add up to {self.behind}; "
                "correct the sizes."
            )
        feeds: Tensors = {}
        begin = 0
        for given in self.inputs:
            if given.data is not None:
                feeds[given.name] = given.data
                continue
            piece = raw[begin : begin + given.size]
            feeds[given.name] = tensors.from_bytes(given.name, given.datatype, given.shape, piece)
            begin += given.size
        return feeds


def inputs_of(data: bytes) -> Tensors:
    """The inputs of a request that is JSON alone, by name. Raises InputError."""
    return decode(data).feeds(memoryview(b""))


def decode(data: bytes) -> Asked:
    """Read the JSON of a request. Raises InputError."""
    try:
        request = read_json(data)
    except ValueError as error:
        raise InputError(
            f"The body is not JSON ({error}); send a V2 inference request, "
            "or an image as image/png or image/jpeg."
        ) from None
    _expect(request, dict, "The body", "an object")
    entries = _expect(request.get("inputs"), list, "'inputs'", "a list")
    if len(entries) > MOST_INPUTS:
        raise InputError(f"'inputs' has {len(entries)} elements, expected at most {MOST_INPUTS}; send fewer.")
    identifier = request.get("id")
    if identifier is not None:
        _expect(identifier, str, "'id'", "text")
    parameters = _expect(request.get("parameters", {}), dict, "'parameters'", "an object")
    binary = _expect(parameters.get("binary_data_output", False), bool, "'binary_data_output'", "a boolean")
    return Asked(
        _inputs(entries),
        _outputs(request.get("outputs"), binary),
        binary,
        identifier,
        _whole(parameters.get("priority", 0), "'priority'"),
        _whole(parameters.get("timeout", 0), "'timeout'"),
    )


def raw(specs: Tuple[TensorSpec, ...], size: int) -> Asked:
    """A body of nothing but the bytes of a model's only input, whose shape follows from their number.

    A free first dimension is then 1, one further free one is what is left. Raises InputError.
    """
    if len(specs) != 1:
        raise InputError(f"The model has {len(specs)} inputs; send JSON in front of their bytes.")
    (spec,) = specs
    if not size:
        raise InputError(f"The body is empty; send the bytes of the input {spec}.")
    if spec.datatype == "BYTES":
        if any(side not in (-1, 1) for side in spec.shape):
            raise InputError(f"The input {spec} takes several values; send JSON in front of their bytes.")
        return Asked((Given(spec.name, "BYTES", tuple(1 for _side in spec.shape), size),), None, True)
    shape = [1 if not place and side == -1 else side for place, side in enumerate(spec.shape)]
    known = math.prod(side for side in shape if side != -1) * TO_NUMPY[spec.datatype].itemsize
    if shape.count(-1) > 1:
        raise InputError(f"The input {spec} has more than one free side; send JSON in front of its bytes.")
    if -1 in shape and known:
        shape[shape.index(-1)] = size // known
    given = Given(spec.name, spec.datatype, tuple(shape), size)
    return Asked((given,), None, True)


def _inputs(entries: List[Any]) -> Tuple[Given, ...]:
    inputs: Dict[str, Given] = {}
    for entry in entries:
        _expect(entry, dict, "An element of 'inputs'", "an object")
        name = _expect(entry.get("name"), str, "'name' of an input", "text")
        if name in inputs:
            raise InputError(f"The input '{name}' is there twice; send it once.")
        datatype = _expect(entry.get("datatype"), str, f"'datatype' of '{name}'", "text")
        shape = _shape(name, entry.get("shape"))
        parameters = _expect(entry.get("parameters", {}), dict, f"'parameters' of '{name}'", "an object")
        size = parameters.get("binary_data_size")
        if size is not None:
            tensors.dtype_of(name, datatype)
            inputs[name] = Given(name, datatype, shape, _whole(size, f"'binary_data_size' of '{name}'"))
        elif "data" in entry:
            data = tensors.from_json(name, datatype, shape, entry["data"])
            inputs[name] = Given(name, datatype, shape, data=data)
        else:
            raise InputError(
                f"The input '{name}' has no data; send 'data', or 'binary_data_size' and the bytes."
            )
    return tuple(inputs.values())


def _outputs(value: Any, binary: bool) -> Optional[Tuple[Wish, ...]]:
    if value is None:
        return None
    wishes: Dict[str, Wish] = {}
    for entry in _expect(value, list, "'outputs'", "a list"):
        _expect(entry, dict, "An element of 'outputs'", "an object")
        name = _expect(entry.get("name"), str, "'name' of an output", "text")
        if name in wishes:  # a small question shall not have an answer as large as one likes
            raise InputError(f"The output '{name[:100]}' is asked for twice; ask for it once.")
        parameters = _expect(entry.get("parameters", {}), dict, f"'parameters' of '{name}'", "an object")
        as_bytes = _expect(
            parameters.get("binary_data", binary), bool, f"'binary_data' of '{name}'", "a boolean"
        )
        classes = _whole(parameters.get("classification", 0), f"'classification' of '{name}'")
        wishes[name] = Wish(name, as_bytes, classes)
    return tuple(wishes.values()) or None  # a list of none means all, as in Triton


def _shape(name: str, value: Any) -> Tuple[int, ...]:
    shape = _expect(value, list, f"'shape' of '{name}'", "a list")
    if len(shape) > 32 or not all(map(_is_size, shape)):
        raise InputError(
            f"'shape' of '{name}' is {str(shape)[:100]}, expected at most 32 whole numbers from 0 up."
        )
    return tuple(shape)


def _whole(value: Any, what: str) -> int:
    if not _is_size(value):
        raise InputError(
            f"{what} is {json.dumps(value)[:40]}, expected a whole number from 0 up; correct it."
        )
    number: int = value
    return number


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40


def _expect(value: Any, kind: type, what: str, wanted: str) -> Any:
    if not isinstance(value, kind):
        found = "missing" if value is None else json.dumps(value)[:40]
        raise InputError(f"{what} is {found}, expected {wanted}; see the Open Inference Protocol V2.")
    return value
