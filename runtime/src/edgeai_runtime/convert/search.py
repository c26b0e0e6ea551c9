"""Try the candidates in processes of their own: what kills one costs the candidate, not the search."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional

from edgeai_runtime.convert.burden import Burden
from edgeai_runtime.convert.child import TIME_LIMIT_S, Ended, run_child, within
from edgeai_runtime.convert.choice import leaders
from edgeai_runtime.convert.conversion import COMPARED, LIVE, MEASURED, REJECTED, TIME_OVER, Row, not_tried
from edgeai_runtime.convert.kept import PREPARED, Kept, drop_model, keep, kept, model_file
from edgeai_runtime.convert.plan import Candidate, Chances, fixed, more
from edgeai_runtime.errors import ConvertError
from edgeai_runtime.release import Recipe, Release
from edgeai_runtime.release.recipe import AUTO

Progress = Callable[[str], None]
RACERS = 3  # the best, and fp32 and what serves now with them
RACE_SHARE = 0.1  # of a search's time


@dataclass(frozen=True)
class Live:
    """What serves now under the release's name: its own `release`, the sha256 of its model file, its engine,
    the name of the way it was converted, the threads of an inference."""

    release: Release
    artifact: str
    engine: str
    way: str
    threads: int

    def to_json(self) -> Dict[str, Any]:
        return {**asdict(self), "release": self.release.to_json().decode()}


class Search:
    """One conversion's candidates and their rows, both in the order they came."""

    def __init__(
        self,
        job: Mapping[str, Any],
        recipe: Recipe,
        progress: Progress,
        burden: Optional[Burden] = None,
        begun: Optional[float] = None,
    ) -> None:
        """`job` as the converting process reads it, without candidates; `begun`: when its time began to run,
        by the monotonic clock, where that is not now."""
        self.plan: List[Candidate] = []
        self.rows: List[Row] = []
        self.racers: List[str] = []  # of a search: the names of those whose models were not dropped
        self._models: List[str] = []  # sha256 of each row's, "" where there was none
        self._job, self._recipe, self._progress, self._burden = dict(job), recipe, progress, burden
        self._work, self._needed, self._stays = Path(job["work"]), 0.0, ""
        self._begun = time.monotonic() if begun is None else begun
        self._give_up = self._begun + recipe.budget_s
        self._starting_s = 0.0  # what a converting process takes before it does anything

    def demanded(self) -> List[Row]:
        """A row for each candidate of a fixed way. Raises ConvertError where one cannot be measured."""
        self.plan = list(fixed(self._recipe))
        self._go_on()
        if len(self.rows) < len(self.plan):
            self._run(False, within(TIME_LIMIT_S))
        return self.rows

    def climbed(
        self, needed: float, chances: Chances, live: Optional[Live] = None, stays: str = ""
    ) -> List[Row]:
        """A row for each candidate of a search; the best whose quality is at least `needed`, in a tie the way
        that `stays`, were timed in turn at the end, and with them what is `live`, which has a row then.

        Raises ConvertError where none can be measured: the model itself is to blame then.
        """
        self._needed, self._stays = needed, stays
        while not self.rows or self._left_s() > 0:
            new = more(self._recipe, self.plan, self.rows, needed, chances)
            if not new:
                break
            self.plan += new
            self._go_on()
            self._measure_all()
        self.racers = [row.candidate for row in self._leading()]
        return self._raced(live)

    def model(self, row: Row) -> Path:
        """The file of a candidate that was not dropped."""
        return model_file(self._work, [one.candidate for one in self.rows].index(row.candidate))

    def stand_in(self) -> Path:
        """The file of an ONNX model for where an engine does not load."""
        first = model_file(self._work, 0)
        return first if first.exists() else self._work / PREPARED

    def recipe_of(self, row: Row) -> Recipe:
        return next(candidate.recipe for candidate in self.plan if candidate.name == row.candidate)

    def _measure_all(self) -> None:
        while len(self.rows) < len(self.plan):
            if self.rows and self._left_s() <= 0:
                self._add(not_tried(self.plan[len(self.rows)].name, TIME_OVER))
                continue
            try:
                self._run(True, self._left_s)
            except Ended as ended:
                over = bool(self.rows) and self._left_s() <= 0
                if not self.rows and ended.doing.startswith(("starting", "preparing")):
                    raise  # the model itself is to blame
                if len(self.rows) < len(self.plan) and not over:
                    self._add(not_tried(self.plan[len(self.rows)].name, ended.how))

    def _left_s(self) -> float:
        """Seconds that are left to measure candidates, less what a race will take. The first, without which
        there would be nothing, is measured whatever the budget."""
        if not self.rows:
            return self._begun + TIME_LIMIT_S - time.monotonic()
        return self._give_up - self._race_s() - time.monotonic()

    def _race_s(self) -> float:
        """Seconds for a race, with a process to start and the models to load."""
        loading_s = sum(row.start_ms or 0.0 for row in self._leading()) / 1000
        return RACE_SHARE * self._recipe.budget_s + self._starting_s + loading_s

    def _go_on(self) -> None:
        """Take over what one that was killed had done of the plan."""
        before = len(self.rows)
        while len(self.rows) < len(self.plan):
            found = kept(self._work, len(self.rows), self.plan[len(self.rows)].name)
            if found is None:
                break
            self._append(found)
        if len(self.rows) > before:
            self._progress(f"going on behind {self.rows[-1].candidate}")

    def _add(self, row: Row) -> None:
        if row.verdict == MEASURED and not self.plan[len(self.rows)].used:
            row = replace(row, verdict=COMPARED, why="the recipe does not ask for it")
        # Who goes on has time again.
        over = row.why == TIME_OVER
        self._append(Kept(row, "") if over else keep(self._work, len(self.rows), row))
        if self._recipe.strategy == AUTO:
            self._drop()

    def _append(self, found: Kept) -> None:
        self.rows.append(found.row)
        self._models.append(found.model)
        if found.row.verdict != REJECTED:  # all are measured on as many threads as pay for the first
            self._job["threads"] = found.row.threads

    def _leading(self) -> List[Row]:
        """The best, and fp32 where it passes.

        A faster one may end a tie that another was last of and for that out of the race: there it stays.
        """
        there = [row for index, row in enumerate(self.rows) if model_file(self._work, index).exists()]
        first = leaders(there, self._recipe.objective, self._needed, self._stays)
        return first[:RACERS] + [row for row in first[RACERS:] if row is self.rows[0]]

    def _drop(self) -> None:
        """Remove the models that are out of the race, so that a long search does not fill the disk."""
        leading = self._leading()
        for index, row in enumerate(self.rows):
            if row not in leading and model_file(self._work, index).exists():
                drop_model(self._work, index, Kept(row, self._models[index]))

    def _raced(self, live: Optional[Live]) -> List[Row]:
        """The rows with the times of a race, where there is anything to compare."""
        racing = [index for index, row in enumerate(self.rows) if row.candidate in self.racers]
        if len(racing) + (live is not None) < 2 or not racing:
            return self.rows
        told: Dict[str, Any] = {}
        until = self._give_up - 0.1 * RACE_SHARE * self._recipe.budget_s  # with time to say how it ended
        race = {"race": racing, "until": until, "live": live.to_json() if live else None}
        try:
            self._child(
                race, lambda _word, times: told.update(times), lambda: self._give_up - time.monotonic()
            )
        except ConvertError:  # all of them at once take more than there is: the times one by one stand
            return self.rows
        for index in racing:
            row = self.rows[index]
            if row.candidate in told:
                p50_ms, p99_ms = told[row.candidate]
                self.rows[index] = replace(row, p50_ms=p50_ms, p99_ms=p99_ms, in_turn=True)
        if live is not None and LIVE in told:
            p50_ms, p99_ms = told[LIVE]
            why = f"{live.release.name} {live.release.version}, {live.way}"
            self.rows.append(
                replace(not_tried(LIVE, why), p50_ms=p50_ms, p99_ms=p99_ms, verdict=COMPARED, in_turn=True)
            )
        return self.rows

    def _run(self, searches: bool, left_s: Callable[[], float]) -> None:
        """Add the rows that are missing, while seconds are left. Raises ConvertError."""
        made = {model: row.candidate for row, model in zip(self.rows, self._models) if model}
        request = {"searches": searches, "from": len(self.rows), "made": made, "race": []}
        self._child(request, lambda _word, row: self._add(Row.from_json(row)), left_s)

    def _child(
        self, more_of_it: Mapping[str, Any], say: Callable[[str, Any], None], left_s: Callable[[], float]
    ) -> None:
        plan = [candidate.to_json() for candidate in self.plan]
        request = json.dumps({**self._job, **more_of_it, "candidates": plan}).encode()
        begun, begins = time.monotonic(), True

        def progress(sentence: str) -> None:
            nonlocal begins
            if begins:
                self._starting_s = max(self._starting_s, time.monotonic() - begun)
            begins = False
            self._progress(sentence)

        run_child(request, str(self._work), progress, say, left_s, self._burden)
