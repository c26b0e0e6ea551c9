"""What queued up goes together; nobody waits for nothing, and nobody fails for another."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, Awaitable, Callable, Dict, List

import numpy as np
import pytest
import toys

from edgeai_runtime.backends.base import Tensors
from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.backends.onnx import OnnxBackend
from edgeai_runtime.errors import BackendError
from edgeai_runtime.monitor.counts import ModelCounts
from edgeai_runtime.release import Serving
from edgeai_runtime.serving import scheduler
from edgeai_runtime.serving.batching import Batching, asked_for, found_out
from edgeai_runtime.serving.cores import Cores
from edgeai_runtime.serving.model import Model
from edgeai_runtime.serving.scheduler import Busy, Overdue, Scheduler

IN_THREAD = Batching(max_batch_size=8, why="as the test says")
IN_LOOP = replace(IN_THREAD, inline=True)
ASK = Callable[..., "asyncio.Future[Any]"]


class Held(Model):
    """A model that notes its batches and works only while it is let."""

    def hold(self) -> None:
        self.batches: List[int] = []
        self.may_go = threading.Event()

    def run(self, feeds: Any) -> Tensors:
        self.may_go.wait(20)
        self.batches.append(len(feeds["x"]))
        return super().run(feeds)


@pytest.fixture
def held(tmp_path: Path) -> Held:
    return make(tmp_path, toys.add_one())


def make(directory: Path, graph: bytes) -> Held:
    (directory / "model.onnx").write_bytes(graph)
    backend = OnnxBackend.load(directory / "model.onnx", Execution())
    model = Held("toy", "1.0.0", "onnxruntime", backend, toys.NO_PIPELINE)
    model.hold()
    return model


def row(value: float, rows: int = 1) -> Dict[str, Any]:
    return {"x": np.full((rows, 3), value, np.float32)}


def run(
    model: Model,
    batching: Batching,
    scenario: Callable[[ASK, Scheduler], Awaitable[None]],
) -> ModelCounts:
    counts = ModelCounts("1.0.0")

    async def live() -> None:
        scheduler = Scheduler(model, batching, counts, Cores())

        def ask(feeds: Tensors, **options: Any) -> Any:
            answer = asyncio.get_running_loop().create_future()
            scheduler.submit(feeds, answer.set_result, **options)
            return answer

        try:
            await asyncio.wait_for(scenario(ask, scheduler), 20)
        finally:
            scheduler.close()

    asyncio.run(live())
    return counts


@pytest.mark.parametrize("batching", [IN_THREAD, IN_LOOP], ids=["thread", "loop"])
def test_each_gets_its_own_rows(held: Held, batching: Batching) -> None:
    held.may_go.set()

    async def scenario(ask: ASK, _scheduler: Scheduler) -> None:
        answers = await asyncio.gather(*(ask(row(number, 1 + number % 3)) for number in range(40)))
        for number, outputs in enumerate(answers):
            assert outputs["y"].tolist() == [[number + 1.0] * 3] * (1 + number % 3)

    counts = run(held, batching, scenario)
    assert counts.inferences == sum(held.batches) == sum(1 + number % 3 for number in range(40))
    assert max(held.batches) <= 8
    assert len(held.batches) == counts.executions < 40


def test_what_comes_while_it_works_goes_together(held: Held) -> None:
    async def scenario(ask: ASK, _scheduler: Scheduler) -> None:
        first = ask(row(0))
        await asyncio.sleep(0)  # it is begun
        others = [ask(row(number)) for number in range(1, 6)]
        held.may_go.set()
        await asyncio.gather(first, *others)

    run(held, IN_THREAD, scenario)
    assert held.batches == [1, 5]


def test_in_the_loop_the_first_is_answered_at_once_and_what_came_with_it_together(held: Held) -> None:
    held.may_go.set()

    async def scenario(ask: ASK, _scheduler: Scheduler) -> None:
        first, *others = [ask(row(number)) for number in range(6)]
        assert first.done()
        assert not any(other.done() for other in others)
        await asyncio.gather(*others)

    run(held, IN_LOOP, scenario)
    assert held.batches == [1, 5]


@pytest.mark.parametrize(
    ("burst_s", "order"), [(60.0, "run run run done done done"), (0.0, "run done run done run done")]
)
def test_in_the_loop_a_crowd_is_run_through_for_a_moment_before_it_is_answered(
    held: Held, monkeypatch: pytest.MonkeyPatch, burst_s: float, order: str
) -> None:
    monkeypatch.setattr(scheduler, "BURST_S", burst_s)
    held.may_go.set()
    seen: List[str] = []
    monkeypatch.setattr(held, "run", lambda feeds: seen.append("run") or Held.run(held, feeds))

    async def scenario(ask: ASK, asked: Scheduler) -> None:
        await ask(row(0))  # at once
        seen.clear()
        for number in range(3):
            asked.submit(row(number, 5), lambda _answer: seen.append("done"))
        while len(seen) < 6:
            await asyncio.sleep(0)

    run(held, IN_LOOP, scenario)
    assert " ".join(seen) == order


def test_in_the_loop_what_is_left_of_a_crowd_waits_where_a_delay_is_asked_for(held: Held) -> None:
    held.may_go.set()

    async def scenario(ask: ASK, _scheduler: Scheduler) -> None:
        *full, rest = [ask(row(number)) for number in range(9)]
        await asyncio.gather(*full)
        assert not rest.done()

    run(held, replace(IN_LOOP, wishes=Serving(max_queue_delay_us=60_000_000)), scenario)
    assert held.batches == [8]


def test_in_the_loop_a_crowd_is_awaited_after_a_crowd_until_one_comes_alone(held: Held) -> None:
    held.may_go.set()

    async def scenario(ask: ASK, _scheduler: Scheduler) -> None:
        for _turn in range(2):
            await asyncio.gather(*[ask(row(number)) for number in range(6)])
            await asyncio.sleep(0)
        await ask(row(0))
        await asyncio.sleep(0)
        assert ask(row(1)).done()

    run(held, IN_LOOP, scenario)
    assert held.batches == [1, 5, 6, 1, 1]


def test_no_batch_is_larger_than_allowed_but_a_request_that_is(held: Held) -> None:
    held.may_go.set()

    async def scenario(ask: ASK, _scheduler: Scheduler) -> None:
        answers = await asyncio.gather(ask(row(1, 5)), ask(row(2, 5)), ask(row(3, 20)))
        assert [len(outputs["y"]) for outputs in answers] == [5, 5, 20]

    run(held, IN_LOOP, scenario)
    assert held.batches == [5, 5, 20]


def test_a_size_that_is_preferred_is_filled(held: Held) -> None:
    held.may_go.set()

    async def scenario(ask: ASK, _scheduler: Scheduler) -> None:
        await asyncio.gather(*(ask(row(number)) for number in range(7)))

    run(held, replace(IN_THREAD, wishes=Serving(preferred_batch_sizes=(2, 4))), scenario)
    assert held.batches == [4, 2, 1]


def test_only_equal_shapes_go_together(tmp_path: Path) -> None:
    model = make(tmp_path, toys.reader())
    model.may_go.set()
    widths = [4, 4, 8, 4, 8]

    async def scenario(ask: ASK, _scheduler: Scheduler) -> None:
        answers = await asyncio.gather(*(ask({"x": np.ones((1, 3, 8, w), np.float32)}) for w in widths))
        assert [outputs["probabilities"].shape for outputs in answers] == [(1, w, 4) for w in widths]

    run(model, IN_THREAD, scenario)
    assert model.batches == [3, 2]


def test_what_has_no_batch_dimension_goes_alone_whatever_is_asked_for(tmp_path: Path) -> None:
    model = make(tmp_path, toys.sum_of_rows())
    model.may_go.set()
    assert not model.batched
    wanted = asked_for(Serving(batching=8), model.batched).found(found_out(model))
    assert (wanted.max_batch_size, wanted.why) == (1, "its first dimensions are fixed")
    model.batches.clear()

    async def scenario(ask: ASK, _scheduler: Scheduler) -> None:
        answers = await asyncio.gather(*(ask(row(number)) for number in (2, 3, 4)))
        assert [outputs["y"].tolist() for outputs in answers] == [[2.0] * 3, [3.0] * 3, [4.0] * 3]

    run(model, IN_THREAD, scenario)
    assert model.batches == [1, 1, 1]


def test_one_that_fails_fails_alone(tmp_path: Path) -> None:
    model = make(tmp_path, toys.reader(widest=4))
    model.may_go.set()

    async def scenario(ask: ASK, _scheduler: Scheduler) -> None:
        good, bad, other = await asyncio.gather(
            *(ask({"x": np.ones((1, 3, 8, width), np.float32)}) for width in (4, 5, 4))
        )
        assert isinstance(bad, BackendError)
        assert good["probabilities"].shape == other["probabilities"].shape == (1, 4, 4)

    run(model, IN_LOOP, scenario)


def test_only_what_was_answered_to_clients_is_counted(tmp_path: Path) -> None:
    model = make(tmp_path, toys.reader(widest=4))
    model.may_go.set()

    async def scenario(ask: ASK, _scheduler: Scheduler) -> None:
        await ask({"x": np.ones((1, 3, 8, 5), np.float32)})  # fails
        await ask({"x": np.ones((1, 3, 8, 4), np.float32)}, counted=False)
        await ask({"x": np.ones((2, 3, 8, 4), np.float32)})

    counts = run(model, IN_LOOP, scenario)
    assert (counts.computed, counts.inferences, counts.executions) == (1, 2, 1)


def test_a_request_may_be_asked_to_wait_for_others(held: Held) -> None:
    held.may_go.set()
    patient = replace(IN_LOOP, wishes=Serving(max_queue_delay_us=30_000_000))

    async def scenario(ask: ASK, _scheduler: Scheduler) -> None:
        first = [ask(row(number)) for number in range(7)]
        done, _waiting = await asyncio.wait(first, timeout=0.05)
        assert not done
        await asyncio.gather(*first, ask(row(7)))

    run(held, patient, scenario)
    assert held.batches == [8]


def test_it_does_not_wait_for_others_until_it_is_too_late_for_itself(held: Held) -> None:
    held.may_go.set()
    patient = replace(IN_LOOP, wishes=Serving(max_queue_delay_us=30_000_000))

    async def scenario(ask: ASK, _scheduler: Scheduler) -> None:
        first, second = ask(row(1)), ask(row(2), timeout_us=200_000)
        assert "y" in await second
        assert "y" in await first

    run(held, patient, scenario)
    assert held.batches == [2]


def test_it_waits_no_longer_than_that(held: Held) -> None:
    held.may_go.set()

    async def scenario(ask: ASK, _scheduler: Scheduler) -> None:
        await ask(row(1))

    run(held, replace(IN_LOOP, wishes=Serving(max_queue_delay_us=2000)), scenario)
    assert held.batches == [1]


def test_the_first_priority_is_served_first(held: Held) -> None:
    order: List[int] = []

    async def scenario(ask: ASK, _scheduler: Scheduler) -> None:
        first = ask(row(0))
        await asyncio.sleep(0)
        waiting = []
        for priority in (3, 0, 1, 9):
            answer = ask(row(priority), priority=priority)
            answer.add_done_callback(lambda _answer, priority=priority: order.append(priority))
            waiting.append(answer)
        held.may_go.set()
        await asyncio.gather(first, *waiting)

    wishes = Serving(priority_levels=3, default_priority=2)
    run(held, replace(IN_THREAD, max_batch_size=1, wishes=wishes), scenario)
    assert order == [1, 0, 9, 3]  # 0, and a level that there is not: the default's, 2


def test_a_full_queue_refuses(held: Held) -> None:
    async def scenario(ask: ASK, _scheduler: Scheduler) -> None:
        first = ask(row(0))
        await asyncio.sleep(0)
        waiting = [ask(row(number)) for number in range(3)]
        refused = await ask(row(9))
        assert isinstance(refused, Busy)
        assert "3 requests wait already" in refused.message
        held.may_go.set()
        await asyncio.gather(first, *waiting)

    run(held, replace(IN_THREAD, wishes=Serving(queue_size=3)), scenario)


@pytest.mark.parametrize("action", ["reject", "delay"])
def test_a_request_that_waited_too_long_is_not_begun_or_goes_on_waiting(held: Held, action: str) -> None:
    async def scenario(ask: ASK, _scheduler: Scheduler) -> None:
        first = ask(row(0))
        await asyncio.sleep(0)
        late = ask(row(1), timeout_us=1)
        held.may_go.set()
        await first
        outcome = await late
        if action == "reject":
            assert isinstance(outcome, Overdue)
        else:
            assert outcome["y"].tolist() == [[2.0] * 3]

    run(held, replace(IN_THREAD, wishes=Serving(timeout_action=action)), scenario)


def test_a_model_of_free_shapes_is_measured_with_its_first_request(tmp_path: Path) -> None:
    model = make(tmp_path, toys.reader())
    model.may_go.set()

    async def scenario(ask: ASK, scheduler: Scheduler) -> None:
        assert not scheduler.batching.known
        answers = await asyncio.gather(*(ask({"x": np.ones((1, 3, 8, 6), np.float32)}) for _turn in range(3)))
        assert [outputs["probabilities"].shape for outputs in answers] == [(1, 6, 4)] * 3
        assert scheduler.batching.known
        assert scheduler.batching.why.startswith("measured")

    run(model, Batching(), scenario)


@pytest.mark.parametrize("batching", [IN_THREAD, IN_LOOP], ids=["thread", "loop"])
def test_a_hot_machine_gets_smaller_batches_and_rests_between_them(held: Held, batching: Batching) -> None:
    rests: List[float] = []

    async def scenario(ask: ASK, scheduler: Scheduler) -> None:
        scheduler.share = 0.25
        later = scheduler._loop.call_later

        def call_later(seconds: float, work: Callable[[], None]) -> Any:
            rests.append(seconds / scheduler._took)
            return later(0, work)

        scheduler._loop.call_later = call_later  # type: ignore[method-assign,assignment]
        held.may_go.set()
        await asyncio.gather(*(ask(row(number)) for number in range(5)))
        assert max(held.batches) == 2
        # A quarter of the time is a share of one in four.
        assert rests == pytest.approx([3.0] * len(held.batches))
        scheduler._loop.call_later = later  # type: ignore[method-assign]
        scheduler.share = 1.0
        await asyncio.gather(*(ask(row(number)) for number in range(8)))

    run(held, batching, scenario)
    assert max(held.batches) >= 7


class TestAfterACrowd:
    def test_what_batches_took_is_given_back_when_none_came_lately(self, held: Held) -> None:
        held.may_go.set()
        trimmed: List[Any] = []
        held.trim = lambda feeds: trimmed.append(feeds["x"].shape)  # type: ignore[method-assign]

        async def scenario(ask: ASK, scheduler: Scheduler) -> None:
            await asyncio.gather(*(ask(row(number)) for number in range(4)))
            scheduler.settle()
            assert not trimmed, "one came since it was last asked for"
            scheduler.settle()
            await ask(row(9))  # behind it, where the model has a thread
            assert trimmed == [(1, 3)]
            scheduler.settle()
            scheduler.settle()
            await ask(row(9))
            assert trimmed == [(1, 3)], "once is enough"

        for batching in (IN_LOOP, IN_THREAD):
            trimmed.clear()
            run(held, batching, scenario)

    def test_one_at_a_time_leaves_nothing_to_give_back(self, held: Held) -> None:
        held.may_go.set()
        held.trim = lambda feeds: pytest.fail("trimmed")  # type: ignore[method-assign]

        async def scenario(ask: ASK, scheduler: Scheduler) -> None:
            for number in range(3):
                await ask(row(number))
                scheduler.settle()
            scheduler.settle()

        run(held, IN_LOOP, scenario)
