"""An update from 1.0 to 1.1, runtime and model, in stages; each is cut and must come to the same end."""

from __future__ import annotations

import contextlib
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from device import NEW, OLD, VARIABLES, Bundle, Device
from media import Killed
from tracing import Call, Tracer
from trees import Pool, Tree, same

SAMPLED = 200  # points of a stage that makes thousands of calls
STATE, JOURNAL = "var/lib/edgeai/state.json", "var/lib/edgeai/journal.jsonl"
# What an uncut run and one that was cut may say differently: times, process ids, measurements.
VARYING = (
    "state.json",
    "state.copy.json",
    "journal.jsonl",
    "device.lock",
    "manifest.json",
    "manifest.copy.json",
    "tuning.json",
)


class Stage(NamedTuple):
    """A command of the update; empty: the keeper's own start, which its next start is to complete.

    `sampled`: it makes too many calls to cut at each. `passing`: the next stage begins where this one did.
    """

    name: str
    command: Sequence[str]
    variables: Dict[str, str] = VARIABLES
    sampled: bool = False
    passing: bool = False


class Cut(NamedTuple):
    """Where the power went, and what was left."""

    where: str
    left: Tree


class End(NamedTuple):
    """How the device came back: which version answered after how long, what went wrong, what is left over."""

    version: str
    boot_s: float
    problem: str
    leaks: List[str]


class Row(NamedTuple):
    """What is told of a stage: `points` left `cuts` different states, of which so many ended so."""

    medium: str
    stage: str
    points: int
    cuts: int
    old: int
    new: int
    completed: int
    leaked: int
    slowest_boot_s: float
    seconds: float


class Update:
    """One device that is updated on one medium. `say` gets a sentence for each cut that did not end well."""

    def __init__(
        self, medium: Killed, device: Device, bundles: List[Bundle], say: Callable[[str], None]
    ) -> None:
        self.medium, self.device, self.pool, self.say = medium, device, medium.pool, say
        self.root = device.root
        self._provision(bundles[0])
        self.new = bundles[1]
        device.follow(self.new)

    def stages(self) -> List[Stage]:
        device, lock = self.device, self.new.lock
        wheel = {**VARIABLES, "PYTHONPATH": self.new.wheel}
        build = ("environment", "build", "--lock-sha256", lock, "--depot", self.new.url)
        use = ("environment", "use", "--lock-sha256", lock)
        return [
            Stage("environment build", device.out_of_the_wheel(*build), wheel, sampled=True),
            Stage("environment use", device.out_of_the_wheel(*use), wheel),
            Stage("keeper start", ()),
            Stage("trial of the runtime", [*device.edgeai, "trial", "--environment", lock]),
            Stage("confirm the runtime", [*device.edgeai, "confirm"]),
            Stage("fetch", [*device.edgeai, "fetch", "reader", NEW], sampled=True),
            Stage("convert", [*device.edgeai, "convert", "reader", NEW], sampled=True),
            Stage("trial of the model", [*device.edgeai, "trial", "--release", "reader", NEW]),
            Stage("keeper start on trial", (), passing=True),  # each start costs a trial an attempt
            Stage("confirm the model", [*device.edgeai, "confirm"]),
            Stage("rollback", [*device.edgeai, "rollback", "--release", "reader", "--to", OLD]),
        ]

    def walk(self, stage: Stage, limit: Optional[int], seed: int) -> Row:
        """Run a stage, cut it, and bring every cut to its end, at most `limit` of them, drawn by `seed`."""
        begun = time.monotonic()
        draw = random.Random(f"{seed} {stage.name}")
        complete = sorted((self.root / "opt/edgeai/envs").glob("*/.complete"))
        self.fixed = [str(marker.parent.relative_to(self.root)) for marker in complete]
        self.leave_out = {"run", *self.fixed}
        base = self.pool.look(self.root, self.leave_out)
        chosen = None
        if stage.sampled:
            calls = self._count(stage)
            wanted = SAMPLED if limit is None else limit
            chosen = set(draw.sample(range(1, calls + 1), min(calls, wanted)))
            self.pool.put(base, self.root, self.leave_out)
        points, cuts, uncut = self._trace(stage, chosen)
        if limit is not None and len(cuts) > limit:
            cuts = draw.sample(cuts, limit)
        ends = [self._end(stage, cut, uncut) for cut in cuts]
        self.pool.put(base if stage.passing else uncut, self.root, self.leave_out)
        return Row(
            medium=self.medium.name,
            stage=stage.name,
            points=points,
            cuts=len(cuts),
            old=sum(end.version == OLD for end in ends),
            new=sum(end.version == NEW for end in ends),
            completed=sum(not end.problem for end in ends),
            leaked=sum(bool(end.leaks) for end in ends),
            slowest_boot_s=max((end.boot_s for end in ends), default=0.0),
            seconds=time.monotonic() - begun,
        )

    def _provision(self, bundle: Bundle) -> None:
        device, wheel = self.device, {**VARIABLES, "PYTHONPATH": bundle.wheel}
        device.follow(bundle)
        build = ("environment", "build", "--lock-sha256", bundle.lock, "--depot", bundle.url)
        must(device.run(device.out_of_the_wheel(*build), wheel))
        must(device.run(device.out_of_the_wheel("environment", "use", "--lock-sha256", bundle.lock), wheel))
        with device.powered():
            for words in (
                ["trial", "--environment", bundle.lock],
                ["confirm"],
                ["fetch", "reader", OLD],
                ["trial", "--release", "reader", OLD],
                ["confirm"],
            ):
                must(device.run([*device.edgeai, *words], VARIABLES))

    @contextlib.contextmanager
    def _traced(self, stage: Stage, at_call: Callable[[Call], None]) -> Iterator[None]:
        """The stage has run; what it started still does."""
        tracer = Tracer(self.root, at_call, besides=self.root / "run")
        try:
            tracer.watching = not stage.command
            tracer.start(self.device.keeper, self.device.log, **VARIABLES)
            with ThreadPoolExecutor(1) as thread:
                answer = thread.submit(self.device.wait_answer)
                tracer.wait(answer.done)
                answer.result()
            if stage.command:
                tracer.watching = True
                status = tracer.run(stage.command, self.device.log, **stage.variables)
                assert status == 0, f"{stage.name} failed uncut: {self.device.log.read_text()[-600:]}"
            tracer.watching = False
            yield
        finally:
            tracer.kill()

    def _count(self, stage: Stage) -> int:
        calls: List[Call] = []
        with self._traced(stage, calls.append):
            return len(calls)

    def _trace(self, stage: Stage, chosen: Optional[Set[int]]) -> Tuple[int, List[Cut], Tree]:
        """The number of points, the cuts that left something different each, and the end of the uncut run."""
        points, seen = 0, 0
        cuts: List[Cut] = []

        def cut(where: str) -> None:
            nonlocal points
            points += 1
            left = self.medium.cut()
            if not any(same(left, other.left) for other in reversed(cuts)):
                cuts.append(Cut(where, left))

        def at_call(call: Call) -> None:
            nonlocal seen
            seen += 1
            if chosen is None or seen in chosen:
                cut(f"before call {seen}, {call.name} of {call.path}")

        with self.medium.live(self.leave_out, self.fixed), self._traced(stage, at_call):
            cut("at the end")
            uncut = self.pool.look(self.root, self.leave_out)
        return points, cuts, uncut

    def _end(self, stage: Stage, cut: Cut, uncut: Tree) -> End:
        """Boot what a cut left, run the same command again, and see that all is as after an uncut run."""
        self.pool.put(cut.left, self.root, self.leave_out)
        begun = time.monotonic()
        version, boot_s, problem, leaks = "", 0.0, "", []
        with self.device.powered():
            try:
                version = self.device.wait_answer()
                boot_s = time.monotonic() - begun
                if stage.command:
                    problem = self.device.run(stage.command, stage.variables)
                    self.device.wait_answer()
            except TimeoutError as error:
                problem = str(error)
        if not problem:
            leaks = differences(self.pool, self.pool.look(self.root, self.leave_out), uncut)
        if problem or leaks:
            self.say(f"{self.medium.name}, {stage.name}, {cut.where}: {problem or '; '.join(leaks[:5])}")
        return End(version, boot_s, problem, leaks)


def differences(pool: Pool, found: Tree, expected: Tree) -> List[str]:
    """What is other than after an uncut run."""
    told = [f"{path} is left" for path in sorted(found.keys() - expected.keys())]
    told += [f"{path} is missing" for path in sorted(expected.keys() - found.keys())]
    for path in sorted(found.keys() & expected.keys()):
        varies = path.endswith(VARYING) or "/envs/" in path or "/conversions/" in path
        same_content = varies or found[path].content == expected[path].content
        if found[path].mode != expected[path].mode or not same_content:
            told.append(f"{path} differs")
    is_now, should_be = _generations(pool, found), _generations(pool, expected)
    if is_now != should_be:
        told.append(f"current, confirmed and trial are {is_now}, expected {should_be}")
    lines = pool.read(found[JOURNAL]).splitlines()
    told += [f"the journal has the line {line[:20]!r}" for line in lines if not _is_json(line)]
    return told


def _generations(pool: Pool, tree: Tree) -> Tuple[object, ...]:
    state = json.loads(pool.read(tree[STATE]))
    return state["current"], state["confirmed"], (state["trial"] or {}).get("generation")


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def must(problem: str) -> None:
    assert not problem, problem
