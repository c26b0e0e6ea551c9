"""From an ONNX file to a TensorRT engine for this very GPU: built, loaded, run once, and only then there."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Optional

from edgeai_runtime.convert.samples import Samples
from edgeai_runtime.convert.tensorrt.options import EngineOptions, Progress
from edgeai_runtime.durable import fsync_directory, writing
from edgeai_runtime.errors import BackendError, ConvertError


def build_engine(
    source: Path,
    target: Path,
    options: EngineOptions,
    progress: Progress,
    calibration: Optional[Samples] = None,
) -> None:
    """Build the ONNX file `source` into the engine file `target`, which appears once the engine ran.

    INT8 takes the `calibration` samples, or a model that has QuantizeLinear and DequantizeLinear already.
    Raises ConvertError, naming the node where one is to blame, and StorageError.
    """
    unproved = target.with_name(f"{target.name}.unproved")
    try:
        _build(source, unproved, options, progress, calibration)
        with writing(target.parent):
            unproved.replace(target)
            fsync_directory(target.parent)
    except BackendError as error:
        raise ConvertError(f"{source}: {error.message}") from error
    finally:
        with contextlib.suppress(OSError):
            unproved.unlink()


def _build(
    source: Path, unproved: Path, options: EngineOptions, progress: Progress, calibration: Optional[Samples]
) -> None:
    try:
        from edgeai_runtime.convert.tensorrt import builder
    except BackendError as no_bindings:
        from edgeai_runtime.convert.tensorrt.trtexec import Trtexec

        program = Trtexec.find()
        if program is None:
            raise ConvertError(
                f"{source}: {no_bindings.message.rstrip('.')}; there is no trtexec either."
            ) from None
        program.build(source, unproved, options, progress, calibration)
    else:
        builder.build(source, unproved, options, progress, calibration)
        progress("running the engine once")
        builder.prove(unproved)
