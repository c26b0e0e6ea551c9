"""From requests to inferences: what queued up while the last one ran goes together into the next."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from functools import partial
from typing import Any, Callable, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from edgeai_runtime.backends.base import Tensors
from edgeai_runtime.errors import BackendError, EdgeAIError
from edgeai_runtime.monitor.counts import ModelCounts
from edgeai_runtime.serving.batching import Batching, measure
from edgeai_runtime.serving.cores import Cores
from edgeai_runtime.serving.leftovers import Leftovers
from edgeai_runtime.serving.model import Model
from edgeai_runtime.serving.waiting import Job, Outcome, Waiting

# A model in the event loop that takes this long, so often, gets a thread after all.
TOO_LONG_S, TOO_OFTEN = 0.01, 10
BURST_S = 0.005  # nobody's answer waits longer for what comes behind it
LONGEST_REST_S = 2.0  # a client and the keeper must see that it goes on
_log = logging.getLogger("edgeai.server")


class Busy(EdgeAIError):
    """More requests wait than the model's queue holds."""

    kind = "busy"


class Overdue(EdgeAIError):
    """A request waited longer than it may."""

    kind = "overdue"


class Scheduler:
    """The queue of one model; it belongs to the event loop.

    A model that takes less time than handing it to a thread would runs in the loop itself, everything
    else in a thread of its own, on as many of the `cores` as an inference has threads. Nothing ever waits
    while the model and its cores are idle, unless a delay was asked for.
    `share` is what a hot machine is held to: of the largest batch, and of the time, since only a rest cools.
    """

    def __init__(
        self,
        model: Model,
        batching: Batching,
        counts: ModelCounts,
        cores: Cores,
    ) -> None:
        self.model, self.batching, self.counts = model, batching, counts
        self._cores = cores
        self._loop = asyncio.get_running_loop()
        self._waiting = Waiting()
        counts.pending = lambda: self._waiting.count
        self._flushing = False
        self._delayed: Optional[asyncio.TimerHandle] = None
        self._running = False
        self._work: queue.SimpleQueue[Optional[Callable[[], None]]] = queue.SimpleQueue()
        self._thread: Optional[threading.Thread] = None
        self._slow = 0
        self._alone = True  # the last request, in its turn
        self.share = 1.0
        self._took = 0.0  # seconds, the last inference
        self._leftovers = Leftovers(model)

    def submit(
        self,
        feeds: Tensors,
        done: Callable[[Outcome], None],
        priority: int = 0,
        timeout_us: int = 0,
        counted: bool = True,
    ) -> None:
        """Have an inference made; `done` is called in the event loop.

        The higher the number of a priority the later its turn, 0 is the model's default; a request that
        waited `timeout_us` (0: the model's default, or for ever) is not begun any more.
        """
        wishes, waiting = self.batching.wishes, self._waiting
        if wishes.queue_size and waiting.count >= wishes.queue_size:
            done(Busy(f"{self.model.name}: {waiting.count} requests wait already; send it again later."))
            return
        if self.at_leisure():
            done(self.at_once(feeds, counted))
            return
        job = Job(feeds, done, self.model.batched, timeout_us or wishes.timeout_us, counted)
        # As in Triton, a level that there is not is the default one.
        waiting.put(job, priority if 0 < priority <= wishes.priority_levels else wishes.default_priority)
        if not self._running and not self._flushing:
            # In the next turn of the loop: what has arrived by then on other connections goes together.
            self._flushing = True
            self._loop.call_soon(self._flush)

    def at_leisure(self) -> bool:
        """Whether this is a quick model that has nothing else to do.

        Only the first request of a turn of the loop is answered in it, and only where none came with others
        last time: where there is one at a time, a turn is a fifth of what it would wait for; where there are
        many, a run of its own is more.
        """
        batching = self.batching
        busy = self._flushing or self._running or self._waiting.count
        if busy or not batching.inline or not self._alone:
            return False
        return not batching.wishes.max_queue_delay_us and self.share == 1

    def at_once(self, feeds: Tensors, counted: bool) -> Outcome:
        """The answer of a model that is at leisure."""
        self._flushing = True
        self._loop.call_soon(self._flush)
        begun = time.perf_counter()
        outcome = _attempt(self.model, feeds)
        seconds = time.perf_counter() - begun
        if counted and not isinstance(outcome, EdgeAIError):
            rows = next(iter(feeds.values())).shape[0] if self.model.batched else 1
            self.counts.executed(1, rows, 0.0, seconds)
        self._look_at(seconds)
        return outcome

    def settle(self) -> None:
        """Give back what batches took, where none came lately; asked for every few seconds."""
        old = self._leftovers.are_old()
        if not old or self._running or self._flushing or self._waiting.count:
            return
        self._running = True
        if self.batching.inline:
            self._leftovers.give_back()
            self._rested()
        else:
            self._cores.take(self.model.threads, partial(self._to_thread, self._give_back_there))

    def close(self) -> None:
        """End the thread, after what it runs now."""
        if self._thread is not None:
            self._work.put(None)
            self._thread.join()

    def _flush(self) -> None:
        self._flushing = False
        waiting = self._waiting
        if self._running or not waiting.count or (self.batching.wishes.max_queue_delay_us and self._delay()):
            return
        if not self.batching.inline:
            self._running = True
            self._cores.take(self.model.threads, self._hand_over)
            return
        ran = self._burst()
        if self.share < 1 and ran:
            self._rest()
        elif waiting.count:
            self._flushing = True
            self._loop.call_soon(self._flush)
        for jobs, outcomes in ran:
            _tell(jobs, outcomes)

    def _burst(self) -> List[Tuple[Sequence[Job], List[Outcome]]]:
        """One inference after the other for a moment, with nothing else between them: each leaves nothing of
        what reads and writes requests in the processor's caches, and that is then paid for once."""
        ran: List[Tuple[Sequence[Job], List[Outcome]]] = []
        give_up = time.perf_counter() + BURST_S
        by_one = self.share < 1 or self.batching.wishes.max_queue_delay_us > 0  # something is between two
        while self._waiting.count:
            jobs = self._next()
            if jobs:
                ran.append((jobs, self._run(jobs)))
            if by_one or time.perf_counter() >= give_up:
                break
        self._alone = sum([len(jobs) for jobs, _outcomes in ran]) == 1
        return ran

    def _next(self) -> List[Job]:
        """What goes together now; none where all that waited are overdue."""
        most = self.batching.batch_of(self._waiting.count)
        return self._waiting.take(most if self.share == 1 else max(1, int(most * self.share)), self._overdue)

    def _rest(self) -> None:
        """Begin nothing for as long as keeps the model to its share of the time."""
        self._running = True
        self._loop.call_later(min(LONGEST_REST_S, self._took * (1 / self.share - 1)), self._rested)

    def _rested(self) -> None:
        self._running = False
        self._flush()

    def _delay(self) -> bool:
        """Whether to wait for more; a timer then goes on."""
        if self._waiting.count >= self.batching.wanted:
            return False
        due = self._waiting.due(self.batching.wishes.max_queue_delay_us / 1e6)
        remaining = due - time.perf_counter()
        if remaining <= 0:
            return False
        at = self._loop.time() + remaining
        if self._delayed is not None and self._delayed.when() > at:
            self._delayed.cancel()
            self._delayed = None
        if self._delayed is None:
            self._delayed = self._loop.call_at(at, self._delayed_enough)
        return True

    def _delayed_enough(self) -> None:
        self._delayed = None
        self._flush()

    def _overdue(self, job: Job) -> bool:
        if self.batching.wishes.timeout_action == "delay":
            return True
        waited = (time.perf_counter() - job.arrived) * 1e3
        job.done(Overdue(f"{self.model.name}: the request waited {waited:.0f} ms, longer than it may."))
        return False

    def _run(self, jobs: Sequence[Job]) -> List[Outcome]:
        begun = time.perf_counter()
        outcomes = _run(self.model, jobs)
        ended = time.perf_counter()
        if len(jobs) > 1:
            self._leftovers.leave(_first_row(self.model, jobs))
        self._took = ended - begun
        answered = rows = 0
        waited = 0.0
        for job, outcome in zip(jobs, outcomes):
            if job.counted and not isinstance(outcome, EdgeAIError):
                answered += 1
                rows += job.rows
                waited += begun - job.arrived
        if answered:
            self.counts.executed(answered, rows, waited, ended - begun)
        self._look_at(ended - begun)
        return outcomes

    def _look_at(self, seconds: float) -> None:
        """Give a model that holds the loop up a thread after all."""
        if seconds > TOO_LONG_S and self.batching.inline:
            self._slow += 1
            if self._slow >= TOO_OFTEN:
                self.batching = self.batching.in_thread("it took longer than was measured")

    # The model's own thread.

    def _hand_over(self) -> None:
        jobs = self._next()
        if not jobs:
            self._cores.give(self.model.threads)
            self._rested()
            return
        self._to_thread(partial(self._run_there, jobs))

    def _to_thread(self, work: Callable[[], None]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work_off, name=self.model.name, daemon=True)
            self._thread.start()
        self._work.put(work)

    def _work_off(self) -> None:
        for work in iter(self._work.get, None):
            work()

    def _give_back_there(self) -> None:
        self._leftovers.give_back()
        self._loop.call_soon_threadsafe(self._adopt, self.batching)

    def _run_there(self, jobs: Sequence[Job]) -> None:
        outcomes = self._run(jobs)
        if self.batching.known:
            self._loop.call_soon_threadsafe(self._ran, jobs, outcomes)
            return
        # Whoever asked first has an answer before it is found out what to do with the next.
        self._loop.call_soon_threadsafe(_tell, jobs, outcomes)
        sample = _first_row(self.model, jobs)
        failed = isinstance(outcomes[0], EdgeAIError)
        found = self.batching if failed else self.batching.found(measure(self.model, sample))
        self._loop.call_soon_threadsafe(self._adopt, found)

    def _ran(self, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
        # Models go on before answers are written: they shall not wait for them.
        self._cores.give(self.model.threads)
        if self.share < 1:
            self._rest()
        else:
            self._rested()
        _tell(jobs, outcomes)

    def _adopt(self, batching: Batching) -> None:
        self.batching = batching
        self._cores.give(self.model.threads)
        self._rested()


def _first_row(model: Model, jobs: Sequence[Job]) -> Tensors:
    return {name: array[:1] if model.batched else array for name, array in jobs[0].feeds.items()}


def _tell(jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
    for job, outcome in zip(jobs, outcomes):
        job.done(outcome)


def _run(model: Model, jobs: Sequence[Job]) -> List[Outcome]:
    """One inference for all; where it fails one for each, so that nobody fails for another."""
    if len(jobs) == 1:
        return [_attempt(model, jobs[0].feeds)]
    together = _attempt(model, join([job.feeds for job in jobs]))
    if not isinstance(together, EdgeAIError):
        try:
            return split(together, [job.rows for job in jobs])
        except BackendError:
            pass
    return [_attempt(model, job.feeds) for job in jobs]


def _attempt(model: Model, feeds: Tensors) -> Outcome:
    """One inference, or why there is none."""
    try:
        return model.run(feeds)
    except EdgeAIError as error:
        return error
    except Exception as error:  # noqa: BLE001 - a mistake of ours must not take the thread down
        _log.exception("%s", model.name)
        return BackendError(
            f"The runtime made a mistake ({type(error).__name__}); please report it with its log."
        )


def join(feeds: Sequence[Mapping[str, np.ndarray[Any, Any]]]) -> Tensors:
    """Tensors that differ in their first dimension alone, one behind the other in it."""
    return {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}


def split(outputs: Tensors, rows: Sequence[int]) -> List[Outcome]:
    """The rows of each request, as views. Raises BackendError where the outputs have other rows."""
    for name, array in outputs.items():
        if array.shape[:1] != (sum(rows),):
            raise BackendError(f"its output '{name}' is {list(array.shape)} for a batch of {sum(rows)}")
    told: List[Outcome] = []
    begin = 0
    for count in rows:
        told.append({name: array[begin : begin + count] for name, array in outputs.items()})
        begin += count
    return told
