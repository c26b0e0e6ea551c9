"""All models share the cores, in the order in which they ask."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any, List

import numpy as np
import toys

from edgeai_runtime.backends.base import Tensors
from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.backends.onnx import OnnxBackend
from edgeai_runtime.monitor.counts import ModelCounts
from edgeai_runtime.serving.batching import Batching
from edgeai_runtime.serving.cores import Cores
from edgeai_runtime.serving.model import Model
from edgeai_runtime.serving.scheduler import Scheduler


def asking(cores: Cores, begun: List[str], **threads: int) -> None:
    for name, count in threads.items():
        cores.take(count, lambda name=name: begun.append(name))  # type: ignore[misc]


def test_who_asks_begins_while_cores_are_free() -> None:
    begun: List[str] = []
    cores = Cores(4)
    asking(cores, begun, a=2, b=1, c=2, d=1)
    assert begun == ["a", "b"]  # d does not pass c
    cores.give(1)
    assert begun == ["a", "b", "c"]
    cores.give(2)
    assert begun == ["a", "b", "c", "d"]


def test_more_threads_than_there_are_cores_take_all_of_them() -> None:
    begun: List[str] = []
    cores = Cores(2)
    asking(cores, begun, a=8, b=1)
    assert begun == ["a"]
    cores.give(8)
    assert begun == ["a", "b"]
    cores.give(1)
    asking(cores, begun, c=2)
    assert begun == ["a", "b", "c"]


class Counted(Model):
    """A model that notes how many are at work while it is."""

    at_work, most = 0, 0
    lock = threading.Lock()
    together = threading.Event()

    def run(self, feeds: Any) -> Tensors:
        with self.lock:
            Counted.at_work += 1
            Counted.most = max(Counted.most, Counted.at_work)
            if Counted.at_work == 2:
                self.together.set()
        self.together.wait(0.02)  # were there room for a second, it would be here by then
        try:
            return super().run(feeds)
        finally:
            with self.lock:
                Counted.at_work -= 1


def test_two_models_are_at_work_together_where_there_are_cores_for_both(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(toys.add_one())
    in_thread = Batching(why="as the test says")

    async def live(cores: Cores) -> None:
        backends = [OnnxBackend.load(tmp_path / "model.onnx", Execution()) for _model in "ab"]
        models = [Counted("toy", "1.0.0", "onnxruntime", backend, toys.NO_PIPELINE) for backend in backends]
        schedulers = [Scheduler(model, in_thread, ModelCounts("1.0.0"), cores) for model in models]
        answers = []
        for _turn in range(4):
            for scheduler in schedulers:
                answers.append(asyncio.get_running_loop().create_future())
                scheduler.submit({"x": np.ones((1, 3), np.float32)}, answers[-1].set_result)
        await asyncio.wait_for(asyncio.gather(*answers), 20)
        assert all(answer.result()["y"].tolist() == [[2.0] * 3] for answer in answers)
        for scheduler in schedulers:
            scheduler.close()

    for count in (1, 2):
        Counted.most = 0
        Counted.together.clear()
        asyncio.run(live(Cores(count)))
        assert Counted.most == count
