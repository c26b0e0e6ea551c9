"""The Open Inference Protocol V2 (https://github.com/kserve/open-inference-protocol) in JSON, with
the binary tensor extension for inputs. Answers are always JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, List, Optional

import numpy as np

from edgeai_runtime.backends.base import Tensors, TensorSpec
from edgeai_runtime.backends.datatypes import datatype_of
from edgeai_runtime.errors import InputError
from edgeai_runtime.server import tensors
from edgeai_runtime.serving.model import Model


@dataclass(frozen=True)
class InferRequest:
    """`outputs`: the names asked for, None for all; `id` comes back in the answer."""

    inputs: Tensors
    outputs: Optional[List[str]] = None
    id: Optional[str] = None


def decode_infer(body: bytes, json_size: Optional[int] = None) -> InferRequest:
    """Read an inference request.

    `json_size` is the value of Inference-Header-Content-Length: so many bytes of JSON, then the
    inputs' raw bytes in order. Raises InputError.
    """
    if json_size is None:
        json_size = len(body)
    if json_size > len(body):
        raise InputError(
            f"Inference-Header-Content-Length is {json_size}, the body has {len(body)} bytes; "
            "correct one of them."
        )
    try:
        request = json.loads(body[:json_size])
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"The body is not JSON ({error}); send a V2 inference request, "
            "or an image as image/png or image/jpeg."
        ) from None
    _expect(request, dict, "The body", "an object")
    entries = _expect(request.get("inputs"), list, "'inputs'", "a list")
    identifier = request.get("id")
    if identifier is not None:
        _expect(identifier, str, "'id'", "text")
    inputs = _inputs(entries, memoryview(body)[json_size:])
    return InferRequest(inputs, _outputs(request.get("outputs")), identifier)


def encode_infer(
    model: Model, outputs: Tensors, names: Optional[List[str]] = None, identifier: Optional[str] = None
) -> bytes:
    """The answer; `names` selects and orders the outputs. Raises InputError for one that is not there."""
    chosen = list(outputs) if names is None else names
    for name in chosen:
        if name not in outputs:
            raise InputError(
                f"{model.name} {model.version} has no output '{name[:100]}', "
                f"only {', '.join(outputs)}; ask for these."
            )
    answer = {"model_name": model.name, "model_version": model.version}
    if identifier is not None:
        answer["id"] = identifier
    described = ",".join(_output(name, outputs[name]) for name in chosen)
    return f'{_json(answer)[:-1]},"outputs":[{described}]}}'.encode()


def metadata(model: Model) -> Dict[str, Any]:
    """What a model takes and gives when it is sent tensors."""
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": f"{model.engine}_onnx",
        "inputs": [_describe(spec) for spec in model.inputs],
        "outputs": [_describe(spec) for spec in model.outputs],
    }


def _output(name: str, array: np.ndarray[Any, Any]) -> str:
    head = {"name": name, "datatype": datatype_of(array), "shape": list(array.shape)}
    return f'{_json(head)[:-1]},"data":{tensors.to_json(array)}}}'


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _describe(spec: TensorSpec) -> Dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}


def _inputs(entries: List[Any], raw: memoryview) -> Tensors:
    """The inputs by name; those without "data" take their bytes from `raw`, one after the other."""
    inputs: Tensors = {}
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
            if not _is_size(size) or size > len(raw):
                raise InputError(
                    f"The input '{name}' has binary_data_size {str(size)[:40]}, "
                    f"{len(raw)} bytes are left in the body; correct it."
                )
            inputs[name] = tensors.from_bytes(name, datatype, shape, raw[:size])
            raw = raw[size:]
        elif "data" in entry:
            inputs[name] = tensors.from_json(name, datatype, shape, entry["data"])
        else:
            raise InputError(
                f"The input '{name}' has no data; send 'data', or 'binary_data_size' and the bytes."
            )
    if len(raw):
        raise InputError(f"The body has {len(raw)} bytes that belong to no input; correct the sizes.")
    return inputs


def _shape(name: str, value: Any) -> List[int]:
    shape: List[int] = _expect(value, list, f"'shape' of '{name}'", "a list")
    if len(shape) > 32 or not all(map(_is_size, shape)):
        raise InputError(
            f"'shape' of '{name}' is {str(shape)[:100]}, expected at most 32 whole numbers from 0 up."
        )
    return shape


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40


def _outputs(value: Any) -> Optional[List[str]]:
    if value is None:
        return None
    names = []
    for entry in _expect(value, list, "'outputs'", "a list"):
        _expect(entry, dict, "An element of 'outputs'", "an object")
        names.append(_expect(entry.get("name"), str, "'name' of an output", "text"))
    return names


def _expect(value: Any, kind: type, what: str, wanted: str) -> Any:
    if not isinstance(value, kind):
        found = "missing" if value is None else json.dumps(value)[:40]
        raise InputError(f"{what} is {found}, expected {wanted}; see the Open Inference Protocol V2.")
    return value
