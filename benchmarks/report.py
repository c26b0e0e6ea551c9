"""What is handed over: a table for the terminal and for Markdown, and everything as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence

from benchmarks.figures import OURS, Figure, Results, judge, said
from benchmarks.peers.base import Peer
from benchmarks.plot import plot


@dataclass(frozen=True)
class Report:
    """`versions`: of the peers by name; `run`: how it was measured, in words."""

    peers: Sequence[Peer]
    figures: Sequence[Figure]
    results: Results
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    run: str

    def write(self, directory: Path) -> List[Path]:
        """serving.json, serving.md and serving.svg."""
        directory.mkdir(parents=True, exist_ok=True)
        files = {
            "serving.json": json.dumps(self.as_json(), indent=2, ensure_ascii=False) + "\n",
            "serving.md": self.markdown(),
            "serving.svg": plot(self.figures, self.peers, self.results, self._where()),
        }
        for name, text in files.items():
            (directory / name).write_text(text, encoding="utf-8")
        return [directory / name for name in files]

    def table(self) -> List[List[str]]:
        """A row for each figure: title, the peers' medians, target, where ours stands. A heading first."""
        rows = [["", *(peer.title for peer in self.peers), "target", "found", "reached"]]
        for figure in self.figures:
            verdict = judge(figure, self.results)
            values = [self.results.median(peer.name, figure) for peer in self.peers]
            judged = ["", "", ""]
            if verdict is not None:
                judged = [verdict.target, verdict.found, "yes" if verdict.reached else "no"]
            rows.append([f"{figure.title} ({figure.unit})", *map(said, values), *judged])
        return rows

    def text(self) -> str:
        """The table in columns."""
        rows = self.table()
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
        return "\n".join(lines)

    def markdown(self) -> str:
        heading, *rows = self.table()
        lines = [heading, ["---", *["---:"] * len(self.peers), "---", "---:", "---"], *rows]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        parts = [table, f"{self._where()}. {self.run}", self._versions()]
        notes = [f"- Left out: {why}" for why in self.results.absent.values()]
        notes += [f"- Void: {sentence}" for sentence in self.results.void]
        return "\n\n".join([*parts, *(["\n".join(notes)] if notes else [])]) + "\n"

    def as_json(self) -> Dict[str, Any]:
        return {
            "machine": dict(self.machine),
            "run": self.run,
            "versions": dict(self.versions),
            "figures": [self._figure(figure) for figure in self.figures],
            "samples": {
                f"{peer} {row}": [taken[repeat] for repeat in sorted(taken)]
                for (peer, row), taken in self.results.samples.items()
            },
            "absent": self.results.absent,
            "void": self.results.void,
        }

    def _figure(self, figure: Figure) -> Dict[str, Any]:
        verdict = judge(figure, self.results)
        medians = {peer.name: self.results.median(peer.name, figure) for peer in self.peers}
        return {
            "key": figure.key,
            "title": figure.title,
            "unit": figure.unit,
            "medians": {name: value for name, value in medians.items() if value is not None},
            "target": None if verdict is None else vars(verdict),
        }

    def _where(self) -> str:
        told = self.machine
        return (
            f"{told['processor']}, {told['cores']} cores, {told['memory']}, "
            f"{told['system']}, Linux {told['kernel']}"
        )

    def _versions(self) -> str:
        named = [
            f"{peer.title} ({self.versions[peer.name]})" for peer in self.peers if peer.name in self.versions
        ]
        return f"Versions: {', '.join(named)}."


def reached(report: Report) -> str:
    """One sentence on the targets."""
    verdicts = [verdict for figure in report.figures if (verdict := judge(figure, report.results))]
    count = sum(verdict.reached for verdict in verdicts)
    return f"{OURS} reaches {count} of the {len(verdicts)} targets that this run can tell about."
