"""The requests of one model that wait for their turn."""

from __future__ import annotations

import time
from collections import deque
from typing import Callable, Deque, Dict, List, Tuple, Union

from edgeai_runtime.backends.base import Tensors
from edgeai_runtime.errors import EdgeAIError

Outcome = Union[Tensors, EdgeAIError]


class Job:
    """One request: its tensors, how many rows of a batch they are, and who is told the outcome.

    Only jobs of equal `shapes` go together; `expires` is when it must have begun, 0 for never. Times are
    those of time.perf_counter, in seconds. One that is not `counted` is in no figure.
    """

    __slots__ = ("arrived", "counted", "done", "expires", "feeds", "rows", "shapes")

    def __init__(
        self,
        feeds: Tensors,
        done: Callable[[Outcome], None],
        batched: bool,
        timeout_us: int,
        counted: bool,
    ) -> None:
        self.feeds, self.done, self.counted = feeds, done, counted
        self.arrived = time.perf_counter()
        self.expires = self.arrived + timeout_us / 1e6 if timeout_us else 0.0
        self.rows = 1
        self.shapes: Tuple[Tuple[int, ...], ...] = ((id(self),),)  # like no other's: it goes alone
        if batched:
            shapes = [array.shape for array in feeds.values()]
            self.rows = shapes[0][0]
            if len(shapes) == 1 or all(shape[0] == self.rows for shape in shapes):
                self.shapes = tuple([shape[1:] for shape in shapes])

    def due(self, delay_s: float) -> float:
        """When it waits for others no longer: after so long, and not until it is too late for itself."""
        latest = self.arrived + delay_s
        return min(latest, (self.arrived + self.expires) / 2) if self.expires else latest


class Waiting:
    """Jobs by priority, 1 before 2, and first come first served within one."""

    def __init__(self) -> None:
        self._queues: Dict[int, Deque[Job]] = {}
        self.count = 0

    def put(self, job: Job, priority: int) -> None:
        if priority not in self._queues:
            self._queues = dict(sorted({**self._queues, priority: deque()}.items()))
        self._queues[priority].append(job)
        self.count += 1

    def due(self, delay_s: float) -> float:
        """When one of those that wait has waited for others so long, or half as long as it may at all."""
        return min(job.due(delay_s) for jobs in self._queues.values() for job in jobs)

    def take(self, most: int, overdue: Callable[[Job], bool]) -> List[Job]:
        """The next, and those of the same shapes that fit beside it in `most` rows.

        `overdue` is asked of each that waited too long, and says whether it goes on waiting,
        behind the others.
        """
        taken: List[Job] = []
        rows = 0
        now = time.perf_counter()
        for jobs in self._queues.values():
            passed: List[Job] = []
            late: List[Job] = []
            while jobs and (rows < most or not taken):
                job = jobs.popleft()
                if job.expires and job.expires < now:
                    job.expires = 0.0
                    if overdue(job):
                        late.append(job)
                    else:
                        self.count -= 1
                elif not taken or (job.shapes == taken[0].shapes and rows + job.rows <= most):
                    taken.append(job)
                    rows += job.rows
                else:
                    passed.append(job)
            if passed:
                jobs.extendleft(reversed(passed))
            jobs.extend(late)
        self.count -= len(taken)
        return taken if taken or not self.count else self.take(most, overdue)
