"""An inference gets as many threads as make it faster by far, and no more than there are cores for."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, List

import pytest
import toys

from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.backends.onnx import OnnxBackend
from edgeai_runtime.errors import BackendError
from edgeai_runtime.release import Pipeline
from edgeai_runtime.serving import threads
from edgeai_runtime.serving.admission import Loaded
from edgeai_runtime.serving.model import Model

Load = Callable[[int], Loaded]


class Closed(Model):
    """Says when it was closed."""

    closed = False

    def close(self) -> None:
        self.closed = True
        super().close()


@pytest.fixture
def loaded() -> List[Closed]:
    return []


@pytest.fixture
def load(tmp_path: Path, loaded: List[Closed]) -> Load:
    """Loads a model for a number of threads; all that were are in `loaded`."""
    path = tmp_path / "adder.onnx"
    path.write_bytes(toys.add_one())

    def load(count: int) -> Loaded:
        assert all(model.closed for model in loaded), "memory may not hold two"
        backend = OnnxBackend.load(path, Execution(count))
        loaded.append(Closed("adder", "1", "onnxruntime", backend, Pipeline((), ())))
        return Loaded(loaded[-1], 1.0, 1.0)

    return load


def takes(monkeypatch: pytest.MonkeyPatch, seconds: Dict[int, float], cores: int) -> None:
    """Have the model take so many seconds by its threads, on a machine of so many cores."""
    monkeypatch.setattr(threads, "seconds_of", lambda model, _sample: seconds[model.threads])
    monkeypatch.setattr(threads, "usable", lambda: cores)


@pytest.mark.parametrize(
    ("seconds", "cores", "chosen"),
    [
        ({1: 0.100, 2: 0.060, 4: 0.030}, 4, 4),
        ({1: 0.100, 2: 0.060, 4: 0.055}, 4, 2),
        ({1: 0.100, 2: 0.095}, 4, 1),
        ({1: 0.100, 2: 0.060}, 3, 2),
        ({1: 0.100}, 1, 1),
        ({1: 0.001}, 4, 1),
        ({1: 0.003, 2: 0.0015}, 4, 2),
    ],
    ids=["all pay", "four do not", "none pays", "no core", "one core", "quick", "quick on two"],
)
def test_it_is_as_many_as_pay(
    load: Load,
    loaded: List[Closed],
    monkeypatch: pytest.MonkeyPatch,
    seconds: Dict[int, float],
    cores: int,
    chosen: int,
) -> None:
    takes(monkeypatch, seconds, cores)
    found = threads.fitting(load).model
    assert found.threads == chosen
    assert [model for model in loaded if not model.closed] == [found]


def test_one_that_does_not_load_leaves_none_behind(
    load: Load, loaded: List[Closed], monkeypatch: pytest.MonkeyPatch
) -> None:
    takes(monkeypatch, {1: 0.1}, 4)

    def one_alone(count: int) -> Loaded:
        if count > 1:
            raise BackendError("memory is not free")
        return load(count)

    with pytest.raises(BackendError):
        threads.fitting(one_alone)
    assert [model.closed for model in loaded] == [True]


def test_a_model_of_free_shapes_gets_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    takes(monkeypatch, {}, 4)
    path = tmp_path / "echo.onnx"
    path.write_bytes(toys.echo(1, ["rows", "columns"]))
    backend = OnnxBackend.load(path, Execution(1))
    model = Model("echo", "1", "onnxruntime", backend, Pipeline((), ()))
    assert threads.fitting(lambda count: Loaded(model, 1.0, 1.0)).model.threads == 1
