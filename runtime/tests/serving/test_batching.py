"""Whether batches pay is measured, and whether rows are answered in them as they are alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toys
from onnx import TensorProto, helper

from edgeai_runtime.backends.base import Tensors
from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.backends.onnx import OnnxBackend
from edgeai_runtime.monitor.memory import resident_mb
from edgeai_runtime.release import Serving
from edgeai_runtime.serving import batching
from edgeai_runtime.serving.batching import Batching, measure
from edgeai_runtime.serving.model import Model


class Timed(Model):
    """A model on whose own clock a batch takes `fixed` and `each` row so many seconds."""

    now, fixed, each = 0.0, 0.0, 0.0

    def run(self, feeds: Any) -> Tensors:
        self.now += self.fixed + self.each * len(feeds["x"])
        return super().run(feeds)


@pytest.fixture
def timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(graph: bytes, fixed: float = 0.0, each: float = 0.0) -> Timed:
        (tmp_path / "model.onnx").write_bytes(graph)
        backend = OnnxBackend.load(tmp_path / "model.onnx", Execution())
        model = Timed("toy", "1.0.0", "onnxruntime", backend, toys.NO_PIPELINE)
        model.fixed, model.each = fixed, each
        monkeypatch.setattr(batching.time, "perf_counter", lambda: model.now)
        return model

    return make


def found(model: Model) -> Batching:
    sample = model.sample()
    assert sample is not None
    return measure(model, sample)


def test_where_a_call_costs_more_than_a_row_batches_are_large(timed: Any) -> None:
    assert found(timed(toys.add_one(), fixed=0.001, each=0.000_01)).max_batch_size == 32


def test_the_smallest_of_nearly_equal_sizes_is_chosen(timed: Any) -> None:
    assert found(timed(toys.add_one(), fixed=0.002, each=0.010)).max_batch_size in (2, 4)


def test_a_quick_model_is_batched_for_what_a_run_costs_besides(timed: Any) -> None:
    """A millisecond a row, whatever the batch: alone each has a run of its own to bear."""
    result = found(timed(toys.add_one(), each=0.001))
    assert result.max_batch_size in (4, 8)
    assert result.why.startswith(
        "measured, ms a row by batch size, with 0.3 ms of a run besides: 1: 1.3, 2: 1.15,"
    )


def test_what_the_larger_batches_took_is_given_back(timed: Any) -> None:
    """A row takes 2 MB on its way, the largest batch 64."""
    model = timed(toys.wide_inside(), fixed=0.001, each=0.000_01)
    model.warm_up()
    before = resident_mb()
    assert found(model).max_batch_size == 32
    assert resident_mb() - before < 16


def test_where_rows_take_what_they_take_nothing_is_batched(timed: Any) -> None:
    result = found(timed(toys.add_one(), each=0.005))
    assert result.max_batch_size == 1
    assert ": 1: 5.3, 2: 5.15, " in result.why


def test_no_batch_keeps_others_waiting_for_long(timed: Any) -> None:
    assert found(timed(toys.add_one(), fixed=0.06, each=0.01)).max_batch_size == 4


@pytest.mark.parametrize(
    ("cores", "seconds", "inline"),
    [(1, 0.002, True), (1, 0.01, False), (4, 0.000_1, True), (4, 0.002, False)],
)
def test_a_quick_model_runs_in_the_loop(
    timed: Any, monkeypatch: pytest.MonkeyPatch, cores: int, seconds: float, inline: bool
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(cores)), raising=False)
    assert found(timed(toys.add_one(), each=seconds)).inline == inline


def test_whole_numbers_may_say_how_much_there_is_to_do(timed: Any) -> None:
    assert not found(timed(toys.echo(TensorProto.INT64, ["N", 3]))).inline


def test_a_fixed_first_dimension_is_not_batched(timed: Any) -> None:
    result = found(timed(toys.echo(TensorProto.FLOAT, [1, 3]), fixed=0.001))
    assert (result.max_batch_size, result.why) == (1, "its first dimensions are fixed")


def test_rows_that_depend_on_one_another_are_not_batched(timed: Any) -> None:
    graph = toys.single(helper.make_node("Softmax", ["x"], ["y"], axis=0), TensorProto.FLOAT, ["N", 3])
    result = found(timed(graph, fixed=0.001))
    assert (result.max_batch_size, result.why) == (1, "its output 'y' depends on the other rows of a batch")


def test_the_settings_of_a_model_stay_when_it_is_measured() -> None:
    set_so = Batching(wishes=Serving(queue_size=7, timeout_us=3))
    measured = set_so.found(Batching(16, True, "measured"))
    assert (measured.wishes, measured.max_batch_size) == (set_so.wishes, 16)
    assert measured.known
    assert not set_so.known


def test_sums_in_another_order_are_the_same_answer() -> None:
    assert batching._near(np.asarray([1.0, 100.0]), np.asarray([1.000_5, 100.0]))
    assert not batching._near(np.asarray([1.0, 100.0]), np.asarray([3.0, 100.0]))
