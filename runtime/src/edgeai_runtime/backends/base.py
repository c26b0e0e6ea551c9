"""What an engine has to offer, and nothing more."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Mapping, Tuple

import numpy as np

from edgeai_runtime.backends.execution import Execution

Tensors = Dict[str, "np.ndarray[Any, Any]"]


@dataclass(frozen=True)
class TensorSpec:
    """An input or output: its name, V2 datatype ("FP32") and shape, in which -1 is any size."""

    name: str
    datatype: str
    shape: Tuple[int, ...]

    def admits(self, shape: Tuple[int, ...]) -> bool:
        """Whether a tensor of this shape fits."""
        return len(shape) == len(self.shape) and all(
            wanted in (-1, size) for wanted, size in zip(self.shape, shape)
        )

    def __str__(self) -> str:
        return f"{self.name} {self.datatype} {list(self.shape)}"


class Backend(ABC):
    """One loaded model. `run` may be called from any thread, by one thread at a time.

    `version` is the engine's, `provider` what runs it, such as "cpu"; `fell_back`: those that should have
    and did not start.
    """

    inputs: Tuple[TensorSpec, ...]
    outputs: Tuple[TensorSpec, ...]
    threads: int
    version: str
    provider: str
    fell_back: Tuple[str, ...]

    @classmethod
    @abstractmethod
    def load(cls, path: Path, execution: Execution) -> Backend:
        """Load the model in `path`. Raises BackendError."""

    @abstractmethod
    def run(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> Tensors:
        """One inference: a tensor for each input to a tensor for each output. Raises BackendError."""

    def trim(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Keep no more memory than an inference of these tensors takes, where the engine kept that of larger
        ones. Raises BackendError."""
        self.run(feeds)

    @abstractmethod
    def close(self) -> None:
        """Give the memory back; the backend cannot be used afterwards."""
