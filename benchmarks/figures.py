"""What is measured and what is to be reached: rows of load, figures taken from them, targets."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from benchmarks.peers.base import Peer

OURS = "edgeai"
_TIMES = "\N{MULTIPLICATION SIGN}"
_TRITON = ("triton", "triton-batching")


@dataclass(frozen=True)
class Row:
    """One load on a server. `same`: one and the same request always, which a cache may answer."""

    name: str
    network: str
    connections: int
    json: bool = False
    same: bool = False

    def fits(self, peer: Peer) -> bool:
        """Whether it is a row of this peer's."""
        if self.network not in peer.networks:
            return False
        if self.same:
            return peer.cache != "none"
        return peer.cache != "only" and (peer.json or not self.json)


ROWS = (
    Row("mlp-1", "mlp", 1),
    Row("mlp-32", "mlp", 32),
    Row("json-1", "mlp", 1, json=True),
    Row("json-32", "mlp", 32, json=True),
    Row("classifier-1", "classifier", 1),
    Row("classifier-8", "classifier", 8),
    Row("classifier-32", "classifier", 32),
    Row("cache", "classifier", 1, same=True),
    Row("mobilenet-1", "mobilenet", 1),
    Row("mobilenet-8", "mobilenet", 8),
    Row("mobilenet-32", "mobilenet", 32),
)
# What is measured of the processes that serve the classifier, and of what is installed.
PROCESS_ROWS = ("start", "memory", "idle", "size")
PROCESS_NETWORK = "classifier"


@dataclass(frozen=True)
class Target:
    """Ours is held against the best of `peers` in the same repeat: at most, or at least, `factor` times
    that, `plus` so much; without peers against `plus` alone."""

    factor: float = 0.0
    peers: Tuple[str, ...] = ()
    plus: float = 0.0


@dataclass(frozen=True)
class Figure:
    """A quantity of a row; `measure` is its name in a sample."""

    title: str
    unit: str
    row: str
    measure: str
    more_is_better: bool = False
    target: Optional[Target] = None

    @property
    def key(self) -> str:
        return f"{self.row}.{self.measure}"


def _rate(title: str, row: str, target: Optional[Target] = None) -> Figure:
    return Figure(title, "requests/s", row, "requests_s", more_is_better=True, target=target)


FIGURES = (
    Figure("MLP, 1 connection, p50", "ms", "mlp-1", "p50_ms", target=Target(1.5, ("echo",))),
    _rate("MLP, 32 connections", "mlp-32", Target(1.5, _TRITON)),
    _rate("MLP in JSON, 1 connection", "json-1", Target(3, ("mlserver",))),
    _rate("MLP in JSON, 32 connections", "json-32", Target(3, ("mlserver",))),
    _rate("Classifier, 1 connection", "classifier-1", Target(0.93, ("raw",))),
    _rate("Classifier, 8 connections", "classifier-8", Target(0.93, ("raw",))),
    _rate("Classifier, 32 connections", "classifier-32", Target(0.93, ("raw",))),
    Figure("Classifier, 32 connections, p99", "ms", "classifier-32", "p99_ms", target=Target(0.5, _TRITON)),
    _rate("Classifier, answered by the cache", "cache", Target(2, ("triton-cache",))),
    _rate("MobileNetV2, 1 connection", "mobilenet-1"),
    _rate("MobileNetV2, 8 connections", "mobilenet-8", Target(0.97, ("raw",))),
    _rate("MobileNetV2, 32 connections", "mobilenet-32", Target(0.97, ("raw",))),
    Figure("Start to first answer, classifier", "s", "start", "start_s", target=Target(plus=0.6)),
    Figure("Memory (PSS) before load, classifier", "MB", "memory", "idle_mb", target=Target(1, ("raw",), 20)),
    Figure(
        "Memory (PSS) after load, classifier", "MB", "memory", "loaded_mb", target=Target(1, ("raw",), 20)
    ),
    Figure("Idle CPU, classifier", "% of a core", "idle", "idle_percent", target=Target(plus=0.5)),
    Figure("Installed environment", "MB", "size", "size_mb", target=Target(plus=260)),
)

Sample = Mapping[str, float]


@dataclass
class Results:
    """Samples by peer, row and repeat; a sample that is void is not there."""

    samples: Dict[Tuple[str, str], Dict[int, Sample]] = field(default_factory=dict)
    absent: Dict[str, str] = field(default_factory=dict)  # peer: why
    void: List[str] = field(default_factory=list)  # sentences

    def add(self, peer: str, row: str, repeat: int, sample: Sample) -> None:
        self.samples.setdefault((peer, row), {}).setdefault(repeat, {})
        self.samples[peer, row][repeat] = {**self.samples[peer, row][repeat], **sample}

    def values(self, peer: str, figure: Figure) -> Dict[int, float]:
        """By repeat."""
        taken = self.samples.get((peer, figure.row), {})
        return {n: sample[figure.measure] for n, sample in taken.items() if figure.measure in sample}

    def median(self, peer: str, figure: Figure) -> Optional[float]:
        values = self.values(peer, figure)
        return median(values.values()) if values else None


@dataclass(frozen=True)
class Verdict:
    """How ours stands to a target: in words, and whether it is reached."""

    target: str
    found: str
    reached: bool


def judge(figure: Figure, results: Results) -> Optional[Verdict]:
    """None without a target, or where ours or its measure was not measured."""
    target = figure.target
    ours = results.values(OURS, figure)
    if target is None or not ours:
        return None
    sign, fits = ("≥", float.__ge__) if figure.more_is_better else ("≤", float.__le__)
    if not target.peers:
        found = median(ours.values())
        return Verdict(f"{sign} {target.plus:g} {figure.unit}", f"{found:.3g}", fits(found, target.plus))
    best = max if figure.more_is_better else min
    others = [results.values(peer, figure) for peer in target.peers]
    pairs = [
        (value, best(other[repeat] for other in others if repeat in other))
        for repeat, value in ours.items()
        if any(repeat in other for other in others)
    ]
    if not pairs:
        return None
    against = " or ".join(target.peers)
    # The machine's speed drifts: each repeat is compared within itself.
    if target.plus:
        more = median(value - other for value, other in pairs)
        return Verdict(
            f"{sign} {against} + {target.plus:g} {figure.unit}", f"{more:+.3g}", fits(more, target.plus)
        )
    times = median(value / other for value, other in pairs)
    return Verdict(
        f"{sign} {target.factor:g} {_TIMES} {against}", f"{times:.2f} {_TIMES}", fits(times, target.factor)
    )


def said(value: Optional[float]) -> str:
    """A figure with three digits that mean something."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def chosen(rows: Sequence[str]) -> List[Figure]:
    """The figures that come out of these rows."""
    return [figure for figure in FIGURES if figure.row in rows]
