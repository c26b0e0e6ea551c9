"""What TensorRT before 11 finds the ranges of int8 with: it runs the samples and looks at each tensor."""

from __future__ import annotations

from collections import Counter
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

import numpy as np

from edgeai_runtime.backends.base import Tensors
from edgeai_runtime.backends.cuda import Buffer, open_cuda
from edgeai_runtime.backends.tensorrt_api import trt
from edgeai_runtime.convert.samples import Samples
from edgeai_runtime.convert.tensorrt.profiles import Shape
from edgeai_runtime.errors import ConvertError


class Calibrator(trt.IInt8EntropyCalibrator2):  # type: ignore[misc]  # the base is untyped
    """Puts one sample after the other on the GPU, those of the most usual `shapes`: TensorRT calibrates in
    one. For the thread that builds. TensorRT cannot take an exception: what happened is `failure`."""

    def __init__(self, samples: Samples, dtypes: Mapping[str, np.dtype[Any]]) -> None:
        """`dtypes`: those of the network's inputs, which before 10 have no 64 bits where the model has.

        Raises ConvertError where no sample fits, BackendError.
        """
        trt.IInt8EntropyCalibrator2.__init__(self)  # pybind11 wants it by its name
        counted = Counter(_shapes(sample) for sample in samples)
        if not counted or {name for name, _shape in min(counted)} != set(dtypes):
            raise ConvertError(
                f"int8 takes calibration samples with the inputs {sorted(dtypes)}, and there are none; "
                "add some."
            )
        (usual, _times), *_others = counted.most_common(1)
        self.shapes: Dict[str, Shape] = dict(usual)
        self.failure: Optional[str] = None
        self._left: Iterator[Tensors] = (sample for sample in samples if _shapes(sample) == usual)
        self._cuda = open_cuda()
        self._dtypes = dtypes
        self._buffers = {name: Buffer(self._cuda) for name in dtypes}

    def get_batch_size(self) -> int:
        """The rows of a sample; networks with explicit batches take it from the shapes."""
        return next((shape[0] for shape in self.shapes.values() if shape), 1)

    def get_batch(self, names: List[str]) -> Optional[List[int]]:
        """The addresses of the next sample's tensors on the GPU, None after the last."""
        try:
            sample = next(self._left, None)
            if sample is None:
                return None
            for name in names:
                tensor = np.ascontiguousarray(sample[name], self._dtypes[name])
                host = self._buffers[name].reserve(tensor.nbytes)
                host[:] = tensor.reshape(-1).view(np.uint8)
                self._buffers[name].to_device(tensor.nbytes)
            self._cuda.synchronize()
            return [self._buffers[name].address for name in names]
        except Exception as error:  # noqa: BLE001 - samples are read by whatever the caller gave
            self.failure = f"a calibration sample cannot be used ({error})"
            return None

    def read_calibration_cache(self) -> None:
        """Samples may have changed: nothing is kept from another build."""

    def write_calibration_cache(self, cache: Any) -> None:
        """See read_calibration_cache."""

    def close(self) -> None:
        """Give the GPU's memory back."""
        for buffer in self._buffers.values():
            buffer.free()
        self._cuda.close()


def _shapes(sample: Tensors) -> Tuple[Tuple[str, Shape], ...]:
    return tuple(sorted((name, tensor.shape) for name, tensor in sample.items()))
