"""Tensor datatypes by their names in the Open Inference Protocol V2."""

from __future__ import annotations

from typing import Any, Dict

import numpy as np

# https://github.com/kserve/open-inference-protocol, "Tensor Data Types". BYTES holds Python str or bytes.
TO_NUMPY: Dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(np.object_),
}
_FROM_NUMPY = {dtype: name for name, dtype in TO_NUMPY.items()}


def datatype_of(array: np.ndarray[Any, Any]) -> str:
    """The V2 name of an array's dtype, e.g. "FP32"; KeyError for one the protocol does not know."""
    return _FROM_NUMPY[array.dtype.newbyteorder("=")]
