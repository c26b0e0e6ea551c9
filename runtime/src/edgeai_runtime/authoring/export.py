"""A PyTorch program as an ONNX file.

torch is needed for nothing else, on this machine or any device; who has ONNX files needs none.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, List, Mapping, Sequence, Tuple

from numpy.typing import NDArray

from edgeai_runtime.backends.base import Tensors
from edgeai_runtime.backends.onnx import reason
from edgeai_runtime.errors import InputError

_OPSET = 17

Answer = List[NDArray[Any]]  # its outputs in order


def export(source: Path, target: Path, samples: Sequence[Tensors]) -> List[Answer]:
    """Write the program as ONNX; what it answered to the samples itself, its outputs in order."""
    torch = _torch(source)
    inputs = tuple(torch.from_numpy(array) for array in samples[0].values())
    names = list(samples[0])
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of torch's own workings
            program, script = _loaded(torch, source)
            before = [_flat(program(*map(torch.from_numpy, sample.values()))) for sample in samples]
            if script:
                rows = {name: {0: "rows"} for name in names}
                outputs = [f"output{number}" for number in range(len(before[0]))]
                torch.onnx.export(
                    program,
                    inputs,
                    str(target),
                    input_names=names,
                    output_names=outputs,
                    dynamic_axes={**rows, **{name: {0: "rows"} for name in outputs}},
                    opset_version=_OPSET,
                    dynamo=False,
                )
            else:
                exported = torch.export.load(str(source))
                torch.onnx.export(
                    exported, inputs, str(target), input_names=names, dynamo=True, external_data=False
                )
    except (InputError, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - torch raises what it likes
        raise InputError(
            f"{source}: torch {torch.__version__} does not export this ({reason(error)}); export it to ONNX "
            "by hand, and name that file."
        ) from None
    return before


def _torch(source: Path) -> Any:
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    try:
        import torch
    except ImportError:
        raise InputError(
            f"{source}: this is no ONNX file, and torch, which exports a PyTorch program, is not installed "
            "here; install edgeai-runtime[torch], or name an ONNX file."
        ) from None
    return torch


def _loaded(torch: Any, source: Path) -> Tuple[Any, bool]:
    """What can be called, and whether it is TorchScript. Raises InputError."""
    try:
        return torch.jit.load(str(source), map_location="cpu").eval(), True
    except RuntimeError:
        pass
    try:
        return torch.export.load(str(source)).module(), False
    except Exception:  # noqa: BLE001 - what is none of both is read as whatever comes
        raise InputError(
            f"{source}: this is neither TorchScript (torch.jit.save) nor an exported program "
            "(torch.export.save); save the model as one of these, or as ONNX."
        ) from None


def _flat(told: Any) -> Answer:
    if isinstance(told, Mapping):
        told = list(told.values())
    return [one.numpy() for one in (told if isinstance(told, (list, tuple)) else [told])]
