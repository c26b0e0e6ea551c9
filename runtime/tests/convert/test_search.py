"""A search tries several ways to convert, on the device, and takes what serves its objective best."""

from __future__ import annotations

import json
import math
import shutil
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Tuple

import pytest
from once import made_once
from toy import DEVICE, toy_release
from zoo import zoo_release

from edgeai_runtime.convert import measure, search
from edgeai_runtime.convert.child import TIME_LIMIT_S, Ended
from edgeai_runtime.convert.choice import best
from edgeai_runtime.convert.conversion import LIVE, Row
from edgeai_runtime.convert.convert import convert_release
from edgeai_runtime.convert.kept import model_file
from edgeai_runtime.convert.plan import Candidate, Chances
from edgeai_runtime.convert.search import RACERS, Live
from edgeai_runtime.errors import ConvertError
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Recipe
from edgeai_runtime.serving.cores import usable
from edgeai_runtime.trust.store import blob_path

SEARCH = Recipe(strategy="auto", threads=1)
SHORT = replace(SEARCH, objective="most_exact")  # fp32 is: from there nothing is climbed to


def ignore(sentence: str) -> None:
    """No one listens to the progress."""


def row(name: str, quality: float, p50_ms: float, size: int) -> Row:
    return Row(name, quality, p50_ms, p50_ms + 1, 6, size, "measured", "", packed=size)


ROWS = [row("fp32", 1.0, 10.0, 400), row("static", 0.98, 5.0, 110), row("dynamic", 0.97, 8.0, 100)]
BROKEN = Row("broken", None, None, None, 0, 0, "rejected", "its process died of SIGILL")


def chosen_of(
    rows: Sequence[Row], needed: float, objective: str = "fastest", stays: str = ""
) -> Tuple[Row, Tuple[Row, ...]]:
    """Where all of them were in the race."""
    racers = [one.candidate for one in rows]
    return best(rows, racers, replace(SEARCH, objective=objective), "exact_match", needed, stays)


class TestTheChoice:
    @pytest.mark.parametrize(
        ("objective", "needed", "chosen"),
        [
            ("fastest", 0.95, "static"),
            ("smallest", 0.95, "dynamic"),
            ("most_exact", 0.95, "fp32"),
            ("fastest", 0.99, "fp32"),
            ("smallest", 0.975, "static"),
        ],
    )
    def test_serves_the_objective_best_of_what_passes(
        self, objective: str, needed: float, chosen: str
    ) -> None:
        found, table = chosen_of([*ROWS, BROKEN], needed, objective)
        assert found.candidate == chosen
        assert [one.candidate for one in table] == ["fp32", "static", "dynamic", "broken"]
        assert table[3] == BROKEN
        verdicts = {one.candidate: one.verdict for one in table if one is not found}
        assert all(
            verdict == ("compared" if (one.quality or 0) >= needed else "rejected")
            for one in table
            if one is not found
            for verdict in [verdicts[one.candidate]]
        )

    def test_of_two_that_are_as_fast_the_more_exact_one_is_taken(self) -> None:
        rows = [row("fp32", 1.0, 5.1, 400), row("static", 0.98, 5.0, 110)]
        assert chosen_of(rows, 0.9)[0].candidate == "fp32"

    def test_the_fastest_is_one_of_those_that_were_timed_in_turn(self) -> None:
        rows = [*(replace(one, in_turn=True) for one in ROWS[:2]), row("lucky", 0.99, 1.0, 90)]
        found, table = chosen_of(rows, 0.95)
        assert (found.candidate, table[2].why) == ("static", "others served better, each by itself")

    @pytest.mark.parametrize("objective", ["fastest", "smallest", "most_exact"])
    @pytest.mark.parametrize("in_turn", [True, False])
    def test_is_one_of_those_whose_models_were_kept_for_the_race(self, objective: str, in_turn: bool) -> None:
        raced = [replace(one, in_turn=in_turn) for one in ROWS]
        racers = [one.candidate for one in raced]
        rows, recipe = [*raced, row("dropped", 1.0, 1.0, 10)], replace(SEARCH, objective=objective)
        found, table = best(rows, racers, recipe, "exact_match", 0.9)
        assert found.candidate != "dropped"
        assert (table[3].verdict, table[3].why) == ("compared", "others served better, each by itself")

    def test_where_nothing_passes_the_error_has_the_table(self) -> None:
        with pytest.raises(
            ConvertError, match=r"none of 4 ways .* fp32 1, static 0\.98, .* at least 1\.1"
        ) as told:
            chosen_of([*ROWS, BROKEN], 1.1)
        assert [one["candidate"] for one in told.value.details["table"]][3] == "broken"

    def test_in_a_tie_the_way_that_serves_already_stays(self) -> None:
        rows = [row("fp32", 1.0, 5.0, 400), row("static", 0.98, 5.1, 110), row("dynamic", 0.97, 6.0, 100)]
        assert chosen_of(rows, 0.9)[0].candidate == "fp32"
        assert chosen_of(rows, 0.9, stays="static")[0].candidate == "static"
        assert chosen_of(rows, 0.9, stays="dynamic")[0].candidate == "fp32", "no tie"


def search_through(root: Path) -> None:
    """Beside what a device has of it lies the number of models that were there at most."""
    paths, most = Paths(root), 0

    def look(_sentence: str) -> None:
        nonlocal most
        for work in paths.conversions.glob(".work-*"):
            most = max(most, sum(file.stem.isdecimal() for file in work.glob("*.onnx")))

    convert_release(paths, DEVICE, toy_release(paths, recipe=SEARCH), False, look)
    (root / "most").write_text(str(most))


@pytest.fixture
def searched(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """A device that has searched for the fastest way to convert the toy."""
    template = made_once(tmp_path_factory, "searched", search_through)
    return Paths(shutil.copytree(template, tmp_path / "searched"))


class TestOnADevice:
    def test_the_fastest_that_passes_is_what_is_kept(self, searched: Paths) -> None:
        made = convert_release(searched, DEVICE, toy_release(searched, recipe=SEARCH), False, ignore)
        assert not made.changed
        (chosen,) = [one for one in made.table if one.verdict == "chosen"]
        assert (made.recipe, made.p50_ms, made.size) == (chosen.candidate, chosen.p50_ms, chosen.size)
        assert blob_path(searched, made.artifact).stat().st_size == made.size
        assert [one.candidate for one in made.table][:3] == [
            "fp32",
            "int8 static, per channel",
            "int8 static",
        ]
        assert all(one.why for one in made.table)
        for one in made.table:
            if one.p50_ms is not None:
                assert one.packed > 0
                assert one.start_ms
                assert {(time["threads"], time["batch"]) for time in one.times} >= {(1, 1)}

    def test_the_smallest_is_what_travels_as_the_fewest_bytes(self, tmp_path: Path) -> None:
        paths = Paths(tmp_path)
        release = toy_release(paths, recipe=replace(SEARCH, objective="smallest"))
        made = convert_release(paths, DEVICE, release, False, ignore)
        (chosen,) = [one for one in made.table if one.verdict == "chosen"]
        able = [one.packed for one in made.table if one.verdict in ("chosen", "compared")]
        assert len(able) > 1
        assert chosen.packed == min(able)

    def test_what_has_no_effect_says_so(self, searched: Paths) -> None:
        """The toy has no Gemm, and a MatMul's weights are quantized alike with it or without."""
        made = convert_release(searched, DEVICE, toy_release(searched, recipe=SEARCH), False, ignore)
        rejected = {one.candidate: one.why for one in made.table if one.verdict == "rejected"}
        assert all("no effect" in why or "exact_match" in why for why in rejected.values()), rejected


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


LATE_S = 0.125
CHANCES = Chances(calibrated=True, saturates=False, accelerated=False, tensorrt=False)


class Process:
    """The converting process's double, which the clock goes on by: `starting_s` until it says its first word,
    and of each candidate what `takes` has, or `each_s`."""

    def __init__(self, clock: Clock, starting_s: float, each_s: float, **takes: float) -> None:
        self._clock, self._starting_s, self._each_s, self._takes = clock, starting_s, each_s, takes
        self.raced_s = 0.0

    def __call__(
        self,
        job: bytes,
        work: str,
        progress: Callable[[str], None],
        say: Callable[[str, Any], None],
        left_s: Callable[[], float],
        _burden: object,
    ) -> None:
        told = json.loads(job)
        self._pass(self._starting_s, left_s, "starting")
        progress("preparing")
        if told["race"]:
            self.raced_s = told["until"] - self._clock.now
            self._pass(max(0.0, self.raced_s), left_s, "timing")
            names = [told["candidates"][index]["name"] for index in told["race"]]
            say("times", {name: (1.0 + place, 2.0) for place, name in enumerate(reversed(names))})
            return
        for index, candidate in enumerate(told["candidates"][told["from"] :], told["from"]):
            name = candidate["name"]
            takes_s = self._takes.get(name.replace(" ", "_"), self._each_s)
            self._pass(takes_s, left_s, f"converting to {name}")
            model_file(Path(work), index).write_text(name)
            say("row", asdict(replace(row(name, 0.99, 5.0, 100), start_ms=100.0)))

    def _pass(self, seconds: float, left_s: Callable[[], float], doing: str) -> None:
        """Or what is left, and a little until that is seen."""
        left = left_s()
        self._clock.now += min(seconds, max(0.0, left) + LATE_S)
        if seconds > left:
            raise Ended(doing, "it took longer than it may")


def searched_through(
    monkeypatch: pytest.MonkeyPatch, work: Path, budget_s: float, clock: Clock, process: Process
) -> List[Row]:
    monkeypatch.setattr(search, "run_child", process)
    monkeypatch.setattr(search, "time", clock)
    job = {"work": str(work), "threads": 1}
    return search.Search(job, replace(SEARCH, budget_s=budget_s), ignore).climbed(0.9, CHANCES)


class TestTheBudget:
    @pytest.mark.parametrize("budget_s", [5.0, 20.0, 240.0])
    def test_of_one_that_hangs_is_kept_to_and_what_was_finished_is_raced(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, budget_s: float
    ) -> None:
        clock = Clock()
        process = Process(clock, 0.5, 0.5, int8_static=math.inf)
        rows = searched_through(monkeypatch, tmp_path, budget_s, clock, process)
        assert clock.now - 1000.0 <= budget_s + LATE_S
        assert [one.in_turn for one in rows] == [True, True, False, False]
        assert [one.why for one in rows[2:]] == ["the time for the search was over"] * 2
        assert process.raced_s >= 0.9 * search.RACE_SHARE * budget_s, "a process's start is no part of it"
        assert chosen_of(rows, 0.9)[0].candidate == "int8 static, per channel"

    @pytest.mark.parametrize("first_s", [6.0, 60.0])
    def test_does_not_bound_the_first_without_which_there_would_be_nothing(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, first_s: float
    ) -> None:
        clock = Clock()
        rows = searched_through(monkeypatch, tmp_path, 10.0, clock, Process(clock, 3.0, first_s))
        assert clock.now - 1000.0 <= max(10.0, 3.0 + first_s) + LATE_S
        assert [one.verdict for one in rows] == ["measured", *["rejected"] * 3]

    def test_is_not_to_blame_for_a_first_that_hangs(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        clock = Clock()
        rows = searched_through(monkeypatch, tmp_path, 10.0, clock, Process(clock, 0.5, 0.5, fp32=math.inf))
        assert clock.now - 1000.0 <= TIME_LIMIT_S + LATE_S
        assert (rows[0].verdict, rows[0].why) == ("rejected", "it took longer than it may")

    def test_a_race_begins_no_round_that_may_not_end_in_time(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        clock = Clock()
        monkeypatch.setattr(measure, "time", clock)

        class Slow:
            takes_images = True

            def infer_image(self, _data: bytes) -> Dict[str, Any]:
                clock.now += 1.0
                return {}

            def close(self) -> None:
                """Nothing is open."""

        class Loads:
            def load(self) -> Slow:
                return Slow()

        sample = tmp_path / "sample.png"
        sample.write_bytes(b"")
        two: Any = {"one": Loads(), "other": Loads()}
        assert set(measure.race(two, [(sample, "")], 11.0)) == {"one", "other"}
        assert clock.now == 1010.0, "each was loaded, and answered four more times"
        assert measure.race(two, [(sample, "")], 5.0) == {}, "too few answers to tell"


def be_killed_at_dynamic(root: Path) -> None:
    paths = Paths(root)

    def cut(sentence: str) -> None:
        if sentence.endswith("to int8 dynamic"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_release(paths, DEVICE, toy_release(paths, recipe=SHORT), False, cut)


@pytest.fixture
def killed(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """A device with a search that had finished what comes before dynamic quantization."""
    template = made_once(tmp_path_factory, "killed-at-dynamic", be_killed_at_dynamic)
    return Paths(shutil.copytree(template, tmp_path / "killed"))


class TestThreads:
    def test_as_many_as_pay_are_found_out_and_kept_to(self, tmp_path: Path) -> None:
        """The toy is so quick that a second one is not even tried."""
        paths = Paths(tmp_path)
        told: List[str] = []
        release = toy_release(paths, recipe=Recipe(quantize="static"))
        made = convert_release(paths, replace(DEVICE, threads=0), release, False, told.append)
        assert made.threads == 1
        assert all(one.threads == 1 for one in made.table)
        assert ("finding out how many threads pay for label-reader 1.0.0" in told) is (usable() > 1)
        timed = {1 << power for power in range(usable().bit_length())}
        assert all({time["threads"] for time in one.times} == timed for one in made.table)

    def test_what_a_recipe_says_is_kept_within_what_the_device_allows(self, tmp_path: Path) -> None:
        paths = Paths(tmp_path)
        for allowed, expected in ((1, 1), (2, min(2, usable())), (0, usable())):
            release = toy_release(paths, recipe=Recipe(threads=200))
            made = convert_release(paths, replace(DEVICE, threads=allowed), release, False, ignore)
            assert (made.threads, made.table[0].threads) == (expected, expected)


class TestOneThatWasKilled:
    def test_is_gone_on_with_behind_what_it_had_finished(self, killed: Paths) -> None:
        (work,) = killed.conversions.glob(".work-*")
        half = work / "3.onnx"
        half.write_bytes(b"half of a model")
        told: List[str] = []
        made = convert_release(killed, DEVICE, toy_release(killed, recipe=SHORT), False, told.append)
        assert "going on behind int8 static" in told
        assert not any(
            sentence.endswith(("to fp32", "to int8 static", "to int8 static, per channel"))
            for sentence in told
        )
        assert made.table[3].candidate == "int8 dynamic"
        assert not list(killed.conversions.glob(".work-*"))

    def test_does_again_what_was_damaged_meanwhile(self, killed: Paths) -> None:
        (work,) = killed.conversions.glob(".work-*")
        (work / "1.onnx").write_bytes(b"damaged")
        told: List[str] = []
        convert_release(killed, DEVICE, toy_release(killed, recipe=SHORT), False, told.append)
        assert "going on behind fp32" in told


class TestAProcessThatDies:
    def test_costs_its_candidate_and_the_search_goes_on(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The one that quantizes statically is killed each time, as one that met an unknown instruction."""
        python = tmp_path / "python"
        python.write_text(f"#!{sys.executable}\n{DEADLY}")
        python.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(python))
        paths = Paths(tmp_path / "device")
        told: List[Any] = []
        made = convert_release(paths, DEVICE, toy_release(paths, recipe=SHORT), False, told.append)
        whys = {one.candidate: one.why for one in made.table}
        assert whys["int8 static"] == "its process died of SIGILL"
        assert made.recipe in ("fp32", "int8 dynamic")


class TestWhatServesNow:
    def test_is_timed_with_the_others_and_told_of_in_the_table(self, tmp_path: Path) -> None:
        paths = Paths(tmp_path)
        before = toy_release(paths, recipe=Recipe(quantize="static"))
        served = convert_release(paths, DEVICE, before, False, ignore)
        live = Live(before, served.artifact, "onnxruntime", served.recipe, served.threads)
        told: List[str] = []
        made = convert_release(paths, DEVICE, toy_release(paths, recipe=SHORT), False, told.append, live)
        assert any(sentence.startswith("timing ") and LIVE in sentence for sentence in told)
        last = made.table[-1]
        assert (last.candidate, last.verdict, last.in_turn) == (LIVE, "compared", True)
        assert last.why == "label-reader 1.0.0, int8 static"
        assert last.p50_ms

    def test_is_left_out_where_it_does_not_take_these_samples(self, tmp_path: Path) -> None:
        paths = Paths(tmp_path)
        other = zoo_release(paths, "of_many", Recipe())
        served = convert_release(paths, DEVICE, other, False, ignore)
        live = Live(other, served.artifact, "onnxruntime", served.recipe, served.threads)
        made = convert_release(paths, DEVICE, toy_release(paths, recipe=SHORT), False, ignore, live)
        assert LIVE not in [one.candidate for one in made.table]


class TestTheModelsOfASearch:
    """Only those that lead are kept, so only they may be chosen."""

    def searched(
        self, monkeypatch: pytest.MonkeyPatch, work: Path, rows: Sequence[Row], stays: str = ""
    ) -> search.Search:
        """A search whose candidates turn out to be these, and that is too short for a race."""
        plan = [Candidate(one.candidate, SEARCH, True) for one in rows]

        def process(
            job: bytes, _work: str, _progress: object, say: Callable[[str, Any], None], *_: object
        ) -> None:
            told = json.loads(job)
            if told["race"]:
                raise ConvertError("there is no room for all of them at once")
            for index in range(told["from"], len(rows)):
                model_file(work, index).write_text(rows[index].candidate)
                say("row", asdict(rows[index]))

        monkeypatch.setattr(search, "run_child", process)
        monkeypatch.setattr(search, "more", lambda _recipe, tried, *_: plan[len(tried) :])
        made = search.Search({"work": str(work), "threads": 1}, SEARCH, ignore)
        made.climbed(0.9, CHANCES, None, stays)
        return made

    def test_one_that_lost_a_tie_does_not_lead_again_where_a_faster_one_ends_it(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        tie = [row("a", 1.0, 10.2, 100), row("b", 0.99, 10.2, 100), row("c", 0.98, 10.2, 100)]
        rows = [row("fp32", 1.0, 30.0, 400), *tie, row("last", 0.97, 10.0, 100), row("quick", 0.96, 9.8, 100)]
        made = self.searched(monkeypatch, tmp_path, rows)
        assert "last" not in made.racers
        assert all(made.model(one).exists() for one in made.rows if one.candidate in made.racers)
        assert best(made.rows, made.racers, SEARCH, "exact_match", 0.9)[0].candidate == "quick"

    def test_what_serves_now_is_kept_in_a_tie_with_more_than_race(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        tie = [row(name, quality, 10.0, 100) for name, quality in (("a", 1.0), ("b", 0.99), ("c", 0.98))]
        rows = [row("fp32", 1.0, 30.0, 400), *tie, row("serves", 0.95, 10.0, 100)]
        made = self.searched(monkeypatch, tmp_path, rows, stays="serves")
        chosen, _table = best(made.rows, made.racers, SEARCH, "exact_match", 0.9, "serves")
        assert chosen.candidate == "serves"
        assert made.model(chosen).exists()


def test_a_long_search_keeps_no_more_models_than_it_may_choose_from(searched: Paths) -> None:
    made = convert_release(searched, DEVICE, toy_release(searched, recipe=SEARCH), False, ignore)
    assert len(made.table) > RACERS + 2
    most = int((searched.root / "most").read_text())
    assert 0 < most <= RACERS + 2, "the best, fp32, and the one that is being made"


DEADLY = """
import os, runpy, signal, sys
import edgeai_runtime.convert.quantize as quantize
quantize.quantize_static = lambda *_: os.kill(os.getpid(), signal.SIGILL)
sys.argv = sys.argv[2:]
runpy.run_module("edgeai_runtime.convert", run_name="__main__")
"""
