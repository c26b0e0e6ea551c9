"""A model that answers: the backend, its pipeline, its name."""

from __future__ import annotations

import time
from typing import Any, Mapping, Optional, Sequence, Tuple

import numpy as np

from edgeai_runtime.backends.base import Backend, Tensors, TensorSpec
from edgeai_runtime.backends.datatypes import TO_NUMPY, datatype_of
from edgeai_runtime.errors import BackendError, InputError
from edgeai_runtime.release import AS_MEASURED, Pipeline, Serving
from edgeai_runtime.serving import pipeline as processing
from edgeai_runtime.serving.blank import grey_png
from edgeai_runtime.serving.geometry import Geometry
from edgeai_runtime.serving.memory import release_freed_memory


class Model:
    """One model of a generation. Its methods block; call them from one thread at a time."""

    def __init__(
        self,
        name: str,
        version: str,
        engine: str,
        backend: Backend,
        pipeline: Pipeline,
        labels: Optional[Sequence[str]] = None,
        serving: Serving = AS_MEASURED,
    ) -> None:
        """Raises InputError when the pipeline does not fit together or the model has several inputs."""
        self.name = name
        self.version = version
        self.engine = engine
        self.serving = serving
        self._backend = backend
        self._pipeline = pipeline
        self._labels = labels
        self._specs = {spec.name: spec for spec in backend.inputs}
        specs = (*backend.inputs, *backend.outputs)
        self._batched = all(spec.shape and spec.shape[0] == -1 for spec in specs)
        processing.check(pipeline, f"{name} {version}, pipeline")
        if pipeline.pre and len(backend.inputs) != 1:
            raise InputError(
                f"{name} {version}: the model has {len(backend.inputs)} inputs, "
                "a pipeline fills exactly one; export it with one input or remove the pipeline."
            )

    @property
    def inputs(self) -> Tuple[TensorSpec, ...]:
        return self._backend.inputs

    @property
    def outputs(self) -> Tuple[TensorSpec, ...]:
        return self._backend.outputs

    @property
    def threads(self) -> int:
        """Of one inference."""
        return self._backend.threads

    @property
    def engine_version(self) -> str:
        return self._backend.version

    @property
    def provider(self) -> str:
        """What runs it, such as "cpu"."""
        return self._backend.provider

    @property
    def fell_back(self) -> Tuple[str, ...]:
        """The providers that should have run it and did not start."""
        return self._backend.fell_back

    @property
    def batched(self) -> bool:
        """Whether its shapes say that the first dimension of all tensors counts the rows of a batch."""
        return self._batched

    @property
    def labels(self) -> Optional[Sequence[str]]:
        return self._labels

    @property
    def takes_images(self) -> bool:
        return bool(self._pipeline.pre)

    def infer(self, feeds: Tensors) -> Tensors:
        """Tensors in, the model's own tensors out; the pipeline has no part in it.

        Raises InputError when the tensors are not what the model takes, BackendError when it fails.
        """
        self.check({name: (datatype_of(array), array.shape) for name, array in feeds.items()})
        return self.run(feeds)

    def infer_image(self, data: bytes) -> Tensors:
        """The bytes of a PNG or JPEG in, the pipeline's answer out. Raises InputError, BackendError."""
        feeds, geometry = self.prepare(data)
        return self.interpret(self.run(feeds), geometry)

    def prepare(self, data: bytes) -> Tuple[Tensors, Geometry]:
        """An image's bytes to what the model takes, and how its pixels got there. Raises InputError."""
        if not self.takes_images:
            raise InputError(
                f"{self.name} {self.version} takes no images, its release has no pipeline; send tensors."
            )
        tensor, geometry = processing.prepare(self._pipeline, data)
        return {self.inputs[0].name: tensor}, geometry

    def interpret(self, outputs: Tensors, geometry: Geometry) -> Tensors:
        """The model's outputs for one image to the pipeline's answer. Raises BackendError."""
        try:
            return processing.interpret(self._pipeline, outputs, self._labels, geometry)
        except BackendError as error:
            raise BackendError(f"{self.name} {self.version}: {error.message}") from None

    def warm_up(self) -> float:
        """Answer once, so that the first request is as fast as the others; the milliseconds it took.

        A small grey image through the pipeline, or zeros where the shapes say what fits (a free
        first dimension is a batch of one); a model with other free dimensions is left cold.
        Raises BackendError when the model cannot answer.
        """
        started = time.perf_counter()
        sample = self.sample()
        if self.takes_images:
            self.infer_image(self._grey())
        elif sample is not None:
            self.run(sample)
        return (time.perf_counter() - started) * 1000

    def sample(self) -> Optional[Tensors]:
        """An input to warm up and measure with; None where the shapes leave open what fits."""
        if self.takes_images:
            return self.prepare(self._grey())[0]
        if all(-1 not in spec.shape[1:] and spec.datatype != "BYTES" for spec in self.inputs):
            return {spec.name: _zeros(spec) for spec in self.inputs}
        return None

    def _grey(self) -> bytes:
        return grey_png(*processing.smallest_size(self._pipeline))

    def close(self) -> None:
        """Give the backend's memory back."""
        self._backend.close()

    def run(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> Tensors:
        """One inference on tensors that were checked; any thread, one at a time. Raises BackendError."""
        try:
            return self._backend.run(feeds)
        except BackendError as error:
            given = ", ".join(f"{name} {list(array.shape)}" for name, array in feeds.items())
            raise BackendError(
                f"{self.name} {self.version} failed on the input {given} ({error.message}); "
                "send another input, or go back to a model that answers inputs like this."
            ) from None

    def trim(self, feeds: Tensors) -> None:
        """Give back what larger tensors took than these. Raises BackendError."""
        self._backend.trim(feeds)
        release_freed_memory()

    def check(self, given: Mapping[str, Tuple[str, Tuple[int, ...]]]) -> None:
        """That these inputs, by name with datatype and shape, are what the model takes. Raises InputError."""
        specs = self._specs
        for name in [*specs, *given]:
            if name not in specs:
                raise self._unfit(f"The input '{name}' is unknown")
            if name not in given:
                raise self._unfit(f"The input '{name}' is missing")
        for name, (datatype, shape) in given.items():
            if datatype != specs[name].datatype or not specs[name].admits(shape):
                raise self._unfit(f"The input '{name}' is {datatype} {list(shape)}")

    def _unfit(self, what: str) -> InputError:
        return InputError(f"{what}; {self.name} {self.version} takes {', '.join(map(str, self.inputs))}.")


def _zeros(spec: TensorSpec) -> np.ndarray[Any, Any]:
    zeros: np.ndarray[Any, Any] = np.zeros(
        [max(size, 1) for size in spec.shape], dtype=TO_NUMPY[spec.datatype]
    )
    return zeros
