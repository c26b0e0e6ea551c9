"""The benchmark measures what it says, and does not count what is wrong. No figure is judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Sequence
from xml.etree import ElementTree

import pytest

from benchmarks.environments import Environment, UnavailableError
from benchmarks.figures import FIGURES, Results, Row, judge
from benchmarks.load import have_wrk
from benchmarks.networks import Network, network
from benchmarks.peers.base import Peer
from benchmarks.processes import cores
from benchmarks.visit import HITS, Place, visit
from edgeai_runtime.monitor.counts import ModelCounts
from edgeai_runtime.monitor.metrics import render
from edgeai_runtime.monitor.sampler import Snapshot
from edgeai_runtime.serving.cache import Cache

REPO = Path(__file__).resolve().parents[2]
HERE = Environment(Path(sys.prefix))


class StandIn(Peer):
    """Answers `fine`, which is no answer to an inference."""

    name = title = package = "stand-in"
    metrics = "/metrics"

    def requirements(self) -> Sequence[str]:
        return []

    def command(self, environment: Environment, network: Network, port: int, work: Path) -> List[str]:
        return [str(environment.python), str(Path(__file__).with_name("stand_in.py")), str(port)]


class Uncompared(StandIn):
    infers = False


@pytest.fixture(scope="module", autouse=True)
def wrk() -> None:
    try:
        have_wrk()
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def mlp(tmp_path: Path) -> Network:
    return network("mlp", tmp_path, tmp_path)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(HERE, cores()[0], tmp_path / "work", tmp_path / "log")


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.serving", *options]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)


def test_a_quick_run_measures_ours_beside_the_floor_and_the_limit(tmp_path: Path) -> None:
    done = run("--quick", "--rows", "mlp-1", "--output", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr

    found = json.loads((tmp_path / "serving.json").read_text())
    (figure,) = found["figures"]
    assert set(figure["medians"]) == {"echo", "raw", "edgeai"}
    assert all(value > 0 for value in figure["medians"].values())
    assert figure["target"]["target"].endswith("echo")
    assert found["machine"]["processor"] in (tmp_path / "serving.md").read_text()
    assert ElementTree.parse(tmp_path / "serving.svg").getroot().tag.endswith("svg")


def test_an_unknown_row_is_named_with_those_there_are(tmp_path: Path) -> None:
    done = run("--rows", "mlp-64", "--output", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("bench-serving: there is no row 'mlp-64', only mlp-1, mlp-32")


def test_a_peer_whose_answer_is_wrong_is_not_measured(mlp: Network, place: Place) -> None:
    with pytest.raises(UnavailableError, match="an answer cannot be read"), visit(StandIn(), mlp, place):
        pass


def test_answers_out_of_a_cache_void_a_run(mlp: Network, place: Place) -> None:
    with visit(Uncompared(), mlp, place) as visited:
        loaded = visited.load(Row("mlp-1", "mlp", 1), seconds=1, warm_up=1)
    assert "answers came from a cache" in loaded.errors


def test_hits_of_our_own_cache_are_seen() -> None:
    counts = ModelCounts("1.0.0")
    counts.hits, counts.misses = 3, 5
    assert HITS.findall(render(Snapshot({"mlp": counts}), 1, cache=Cache())) == ["3"]


def test_no_two_requests_of_a_run_are_alike(mlp: Network) -> None:
    peer = StandIn()
    values = mlp.inputs(1)[0]
    numbers = range(0, 1 << 23, 9973)
    assert len({peer.wire.value(number) for number in numbers}) == len(numbers)
    message = peer.wire.request(mlp, values, 5)
    hole = len(peer.wire.number(5))
    assert message.body[message.hole : message.hole + hole] == peer.wire.number(5)


def results(**rates: Dict[int, float]) -> Results:
    taken = Results()
    for peer, values in rates.items():
        for repeat, value in values.items():
            taken.add(peer.replace("_", "-"), "mlp-32", repeat, {"requests_s": value})
    return taken


def test_ours_is_held_against_the_best_of_the_others_within_each_repeat() -> None:
    figure = next(figure for figure in FIGURES if figure.row == "mlp-32")
    # The machine is half as fast in the second repeat: what counts is how ours stands to the others.
    verdict = judge(
        figure,
        results(
            edgeai={0: 1600, 1: 800, 2: 1600},
            triton={0: 100, 1: 500, 2: 1000},
            triton_batching={0: 1000, 1: 50},
        ),
    )
    assert verdict is not None
    assert verdict.found.startswith("1.60")
    assert verdict.reached


def test_nothing_is_judged_without_what_it_is_held_against() -> None:
    figure = next(figure for figure in FIGURES if figure.row == "mlp-32")
    assert judge(figure, results(edgeai={0: 1600})) is None
