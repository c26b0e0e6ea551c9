"""What the golden set says of one model: figures, gates, and the sentence for who must read them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from edgeai_runtime.release import QUALITIES, Answer, Release
from edgeai_runtime.release.quality import EXACT_MATCH

# error_rate and p99_ratio are the soak's: the keeper judges them after the switch, by real requests.
_LIMITS = ("p99_ms", "memory_mb")


@dataclass(frozen=True)
class Gate:
    """One condition: `measured` None means that there was nothing to measure, which is not passing."""

    model: str
    gate: str
    measured: Optional[float]
    required: float
    passed: bool


@dataclass(frozen=True)
class Known:
    """A sample that was answered exactly: its sha256, its media type, what was told of it.

    `answer` has the data of some outputs by their names: of a pipeline `text` or `label`, else the model's.
    """

    sha256: str
    content_type: str
    answer: Answer


@dataclass(frozen=True)
class Golden:
    """What answering the golden set gave.

    `quality` is what the release measures; `right` of `samples` were answered exactly, the smallest of them
    is `known`; `times_ms` of each answered request; `peak_rss_mb` of the process in megabytes of 10^6 bytes;
    `trouble` is the first thing that was no answer.
    """

    samples: int
    quality: float
    right: int
    times_ms: Tuple[float, ...]
    peak_rss_mb: float
    trouble: str = ""
    known: Optional[Known] = None


@dataclass(frozen=True)
class Verdict:
    """The gates of one model under one generation."""

    model: str
    version: str
    samples: int
    right: int
    p50_ms: Optional[float]
    p99_ms: Optional[float]
    peak_rss_mb: float
    gates: Tuple[Gate, ...]
    trouble: str = ""
    known: Optional[Known] = None

    @property
    def passed(self) -> bool:
        return all(gate.passed for gate in self.gates)

    def failure(self) -> str:
        """What is measured and what is required, for every gate that did not pass."""
        told = [self._tell(gate) for gate in self.gates if not gate.passed]
        trouble = f" (first trouble: {self.trouble})" if self.trouble else ""
        return ", and ".join(told) + trouble

    def figures(self) -> str:
        """The measured figures in a line."""
        times = "" if self.p99_ms is None else f", p50 {self.p50_ms:.1f} ms, p99 {self.p99_ms:.1f} ms"
        return f"{self.right} of {self.samples} golden samples right{times}, {self.peak_rss_mb:.0f} MB"

    def _tell(self, gate: Gate) -> str:
        if gate.gate in QUALITIES:
            exactly = "" if gate.gate == EXACT_MATCH else " exactly"
            return (
                f"golden {gate.gate} is {gate.measured:.2f} ({self.right} of {self.samples}{exactly}), "
                f"required at least {gate.required:g}"
            )
        measured = "unknown" if gate.measured is None else f"{gate.measured:.1f}"
        return f"{gate.gate} is {measured}, required at most {gate.required:g}"


def judge(release: Release, golden: Golden) -> Verdict:
    """Compare what was measured with the release's gates."""
    times = sorted(golden.times_ms)
    p50, p99 = _nearest_rank(times, 0.50), _nearest_rank(times, 0.99)
    measured: Mapping[str, Optional[float]] = {"p99_ms": p99, "memory_mb": golden.peak_rss_mb}
    required = release.gates[release.quality]
    gates = [Gate(release.name, release.quality, golden.quality, required, golden.quality >= required)]
    for name in _LIMITS:
        if name in release.gates:
            value, limit = measured[name], release.gates[name]
            gates.append(Gate(release.name, name, value, limit, value is not None and value <= limit))
    return Verdict(
        model=release.name,
        version=release.version,
        samples=golden.samples,
        right=golden.right,
        p50_ms=p50,
        p99_ms=p99,
        peak_rss_mb=golden.peak_rss_mb,
        gates=tuple(gates),
        trouble=golden.trouble,
        known=golden.known,
    )


def as_details(verdicts: Sequence[Verdict]) -> Dict[str, Any]:
    """Verdicts as JSON: {"gates": [every model's gates], "models": [figures of each model]}."""
    models: List[Dict[str, Any]] = []
    for verdict in verdicts:
        figures = asdict(verdict)
        del figures["gates"], figures["known"]
        models.append(figures)
    return {"gates": [asdict(gate) for verdict in verdicts for gate in verdict.gates], "models": models}


def _nearest_rank(ordered: Sequence[float], share: float) -> Optional[float]:
    """The smallest value that at least `share` of all values do not exceed."""
    return round(ordered[math.ceil(share * len(ordered)) - 1], 3) if ordered else None
