"""How far TensorRT is with an engine, and when it has to stop."""

from __future__ import annotations

import threading
import time
from typing import Callable, Dict, Optional

from edgeai_runtime.backends.tensorrt_api import trt


class Watch(trt.IProgressMonitor):  # type: ignore[misc]  # the base is untyped
    """Tells each tenth of the outermost phase, and ends a build that takes longer than `time_limit_s`.

    TensorRT calls it from threads of its own and cannot take an exception: what happened is `failure`.
    """

    def __init__(self, progress: Callable[[str], None], time_limit_s: float) -> None:
        trt.IProgressMonitor.__init__(self)  # pybind11 wants it by its name
        self._progress, self._limit_s = progress, time_limit_s
        self._give_up = time.monotonic() + time_limit_s
        self._lock = threading.Lock()
        self._steps: Dict[str, int] = {}  # of the outermost phases under way
        self._told = ""
        self.failure: Optional[str] = None

    def phase_start(self, phase_name: str, parent_phase: Optional[str], num_steps: int) -> None:
        if not parent_phase:
            with self._lock:
                self._steps[phase_name] = max(1, num_steps)

    def step_complete(self, phase_name: str, step: int) -> bool:
        with self._lock:
            if phase_name in self._steps:
                tenths = 10 * (step + 1) // self._steps[phase_name]
                self._tell(f"building the engine: {phase_name}, {10 * min(tenths, 10)} %")
            if time.monotonic() > self._give_up and self.failure is None:
                self.failure = f"it took longer than {self._limit_s:.0f} s"
            return self.failure is None

    def phase_finish(self, phase_name: str) -> None:
        with self._lock:
            self._steps.pop(phase_name, None)

    def _tell(self, sentence: str) -> None:
        if sentence == self._told:
            return
        self._told = sentence
        try:
            self._progress(sentence)
        except Exception as error:  # noqa: BLE001 - whoever listens went away, in whatever way
            self.failure = f"nobody takes its progress any more ({error})"
