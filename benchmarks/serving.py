"""Measures this runtime and its peers in turn, on one machine, in one run.

    python -m benchmarks.serving [--quick] [--peers NAMES] [--rows NAMES] [--seconds S] [--repeats N]

benchmarks/README.md says what is measured and how to read it.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Dict, Iterable, List, Sequence, Tuple

from benchmarks.environments import REPO, Environment, UnavailableError, environment, size_mb
from benchmarks.figures import PROCESS_NETWORK, PROCESS_ROWS, ROWS, Results, Row, chosen, said
from benchmarks.lineup import PEERS, QUICK
from benchmarks.load import have_wrk
from benchmarks.machine import machine
from benchmarks.networks import NAMES, Network, network
from benchmarks.peers.base import Peer
from benchmarks.processes import cores
from benchmarks.report import Report, reached
from benchmarks.visit import Place, Visit, visit

CACHE = Path.home() / ".cache" / "edgeai"
_ROW_NAMES = (*(row.name for row in ROWS), *PROCESS_ROWS)


@dataclass(frozen=True)
class Plan:
    """What is to be measured; times in seconds."""

    peers: Sequence[Peer]
    rows: Sequence[str]
    seconds: float
    warm_up: float
    idle: float
    repeats: int

    def loads(self, peer: Peer, name: str) -> List[Row]:
        """The rows of load that a peer has with a network."""
        return [row for row in ROWS if row.name in self.rows and row.network == name and row.fits(peer)]

    def of_process(self, peer: Peer, name: str) -> List[str]:
        """The rows about its processes; a server without load has none that count."""
        fits = name == PROCESS_NETWORK and peer.cache != "only"
        return [row for row in PROCESS_ROWS if fits and row in self.rows]

    def visits(self) -> List[Tuple[Peer, str]]:
        """Which peer starts with which network, in turn."""
        pairs = ((peer, name) for name in NAMES for peer in self.peers if name in peer.networks)
        return [(peer, name) for peer, name in pairs if self.loads(peer, name) or self.of_process(peer, name)]


def main() -> int:
    options = _arguments()
    peers = _known("peer", options.peers or (QUICK if options.quick else tuple(PEERS)), tuple(PEERS))
    quick = options.quick
    plan = Plan(
        peers=[PEERS[name] for name in peers],
        rows=_known("row", options.rows or ("*",), _ROW_NAMES),
        seconds=options.seconds or (1 if quick else 5),
        warm_up=1 if quick else 2,
        idle=2 if quick else 10,
        repeats=options.repeats or (1 if quick else 3),
    )
    # The servers are ended on every way out.
    signal.signal(signal.SIGTERM, lambda *about: sys.exit(143))
    try:
        have_wrk()
        with tempfile.TemporaryDirectory(prefix="edgeai-bench-") as directory:
            return Bench(plan, Path(directory), options.output).run()
    except UnavailableError as error:
        print(f"bench-serving: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


class Bench:
    """One run. What it measured is in `results`, whatever happens later."""

    def __init__(self, plan: Plan, directory: Path, output: Path) -> None:
        """`directory` is for what nobody wants afterwards."""
        self._plan = plan
        self._directory = directory
        self._output = output
        self._results = Results()
        self._environments: Dict[str, Environment] = {}
        self._server_core, client_core = cores()
        # We are the client, and so is what we start, if it is not a server.
        os.sched_setaffinity(0, {client_core})
        if client_core == self._server_core:
            say("This machine lends one core: client and servers share it, and no figure means much.")

    def run(self) -> int:
        """Measure, print, write; the exit status: 1 where a figure is void."""
        plan = self._plan
        names = sorted({name for peer, name in plan.visits()})
        networks = {name: network(name, self._directory, CACHE) for name in names}
        visits = self._rehearse(networks)
        for repeat in range(plan.repeats):
            for peer, name in visits:
                try:
                    self._measure(repeat, peer, networks[name])
                except UnavailableError as error:
                    self._void(f"{peer.title} with {name} in repeat {repeat + 1}: {error}")
        report = self._report([peer for peer in plan.peers if peer in dict(visits)])
        say(f"\n{report.text()}\n\n{reached(report)}")
        say(f"Written: {', '.join(map(str, report.write(self._output)))}")
        return 1 if self._results.void else 0

    def _rehearse(self, networks: Dict[str, Network]) -> List[Tuple[Peer, str]]:
        """Each starts once, so that what cannot be had is known before, and what is slow once is over."""
        say("Each peer starts once to see what can be had …")
        able = []
        for peer, name in self._plan.visits():
            if peer.name in self._results.absent:
                continue
            try:
                with self._visit(peer, networks[name]):
                    able.append((peer, name))
            except UnavailableError as error:
                self._results.absent[peer.name] = f"{peer.title}: {error}"
                say(f"Left out: {peer.title}: {error}")
        return [(peer, name) for peer, name in able if peer.name not in self._results.absent]

    def _visit(self, peer: Peer, served: Network) -> Visit:
        if peer.name not in self._environments:
            self._environments[peer.name] = environment(
                peer.requirements(), CACHE / "benchmarks", lambda: say(f"Setting up {peer.title} …")
            )
        work = self._directory / peer.name / served.name
        log = self._output / "logs" / f"{peer.name}-{served.name}.log"
        return visit(peer, served, Place(self._environments[peer.name], self._server_core, work, log))

    def _measure(self, repeat: int, peer: Peer, served: Network) -> None:
        plan = self._plan
        about = plan.of_process(peer, served.name)

        def add(row: str, **sample: float) -> None:
            self._results.add(peer.name, row, repeat, sample)
            told = ", ".join(f"{key} {said(value)}" for key, value in sample.items())
            say(f"{repeat + 1}/{plan.repeats}  {row:14} {peer.name:16} {told}")

        with self._visit(peer, served) as visited:
            if "start" in about and peer.listens:
                add("start", start_s=visited.start_s)
            if "memory" in about:
                add("memory", idle_mb=visited.pss_mb())
            for row in plan.loads(peer, served.name):
                loaded = visited.load(row, plan.seconds, plan.warm_up)
                if loaded.errors:
                    self._void(f"{peer.title}, {row.name} in repeat {repeat + 1}: {loaded.errors}")
                else:
                    add(row.name, requests_s=loaded.requests_s, p50_ms=loaded.p50_ms, p99_ms=loaded.p99_ms)
            # What a crowd took may be given back when it is gone; all have the same time for it.
            idle_percent = visited.idle_percent(plan.idle) if {"idle", "memory"} & set(about) else 0.0
            if "idle" in about:
                add("idle", idle_percent=idle_percent)
            if "memory" in about and plan.loads(peer, served.name):
                add("memory", loaded_mb=visited.pss_mb())
        if "size" in about:
            add("size", size_mb=size_mb(*peer.installed(self._environments[peer.name])))

    def _void(self, sentence: str) -> None:
        self._results.void.append(sentence)
        say(f"Void: {sentence}")

    def _report(self, peers: Sequence[Peer]) -> Report:
        plan = self._plan
        run = (
            f"Median of {plan.repeats} repeats in turn, {plan.seconds:g} s a row after {plan.warm_up:g} s "
            "to warm up; server and client on a core each; every request another, but for the cache's row."
        )
        versions = {peer.name: self._environments[peer.name].version(peer.package) for peer in peers}
        return Report(peers, chosen(plan.rows), self._results, machine(), versions, run)


def say(sentence: str) -> None:
    print(sentence, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-serving", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help=f"one short repeat of {', '.join(QUICK)}")
    parser.add_argument("--peers", type=_names, metavar="NAMES", help=f"of: {', '.join(PEERS)}")
    parser.add_argument(
        "--rows", type=_names, metavar="NAMES", help=f"or patterns, of: {', '.join(_ROW_NAMES)}"
    )
    parser.add_argument("--seconds", type=_positive, metavar="S", help="of each load (whole ones; 5)")
    parser.add_argument("--repeats", type=_positive, metavar="N", help="of everything (3)")
    parser.add_argument(
        "--output", type=Path, default=REPO / "report" / "benchmarks", metavar="DIR", help="for the results"
    )
    return parser.parse_args()


def _names(text: str) -> Tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 1 up")
    return int(text)


def _known(what: str, patterns: Iterable[str], names: Sequence[str]) -> List[str]:
    """The names that fit the patterns, in their own order."""
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            sys.exit(f"bench-serving: there is no {what} '{pattern}', only {', '.join(names)}")
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


if __name__ == "__main__":
    sys.exit(main())
