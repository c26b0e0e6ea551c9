"""Which of the measured candidates is used, and what the table says of the others."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Collection, Dict, List, Sequence, Tuple

from edgeai_runtime.convert.conversion import CHOSEN, COMPARED, MEASURED, REJECTED, Row
from edgeai_runtime.errors import ConvertError
from edgeai_runtime.release.recipe import FASTEST, MOST_EXACT, SMALLEST, Recipe

TIE = 1.03  # a difference in time below it is none


def leaders(rows: Sequence[Row], objective: str, needed: float, stays: str = "") -> List[Row]:
    """Those whose quality is at least `needed`, the best first; in a tie of times the way that `stays`."""
    able = _passing(rows, needed)
    return sorted(able, key=lambda row: _rank(row, able, objective, stays))


def best(
    rows: Sequence[Row],
    racers: Collection[str],
    recipe: Recipe,
    quality: str,
    needed: float,
    stays: str = "",
) -> Tuple[Row, Tuple[Row, ...]]:
    """Of a search: the row that is used, and the table with every row's verdict.

    Used is what serves the objective best among the `racers`, by name: whose `quality` on the selection set
    is at least `needed`, and who led before they were timed in turn; in a tie of times the way that `stays`,
    since the same model serves like that already.
    Raises ConvertError, with the table in its details, where none does.
    """
    passing = _passing(rows, needed)
    if not passing:
        found = (
            ", ".join(f"{row.candidate} {row.quality:.3g}" for row in rows if row.verdict == MEASURED)
            or "nothing that runs"
        )
        raise ConvertError(
            f"none of {len(rows)} ways to convert it passes the gate: {quality} is {found}, required at "
            f"least {needed:g}; correct the model, its sets or its gate.",
            table=[asdict(row) for row in rows],
        )
    raced = [row for row in passing if row.candidate in racers]
    # Times that were not taken in turn tell too little: a machine's speed drifts by up to twice.
    able = [row for row in raced if row.in_turn] or raced
    chosen = min(able, key=lambda row: _rank(row, able, recipe.objective, stays))
    source, table = rows[0], []
    for row in rows:
        if row is chosen:
            why = "fp32 serves best" if row is source else _against(row, source)
            table.append(replace(row, verdict=CHOSEN, why=f"{recipe.objective.replace('_', ' ')}: {why}"))
        elif row.verdict != MEASURED:
            table.append(row)
        elif row not in passing:
            why = f"{quality} is {row.quality:.3g}, required at least {needed:g}"
            table.append(replace(row, verdict=REJECTED, why=why))
        else:
            why = (
                f"{chosen.candidate} serves better" if row in able else "others served better, each by itself"
            )
            table.append(replace(row, verdict=COMPARED, why=why))
    return next(row for row in table if row.verdict == CHOSEN), tuple(table)


def demanded(rows: Sequence[Row], name: str) -> Tuple[Row, Tuple[Row, ...]]:
    """Of a fixed recipe: the row that is used, and the table with every row's verdict."""
    source = rows[0]
    table = []
    for row in rows:
        if row.candidate != name:
            table.append(replace(row, verdict=COMPARED, why="the recipe does not ask for it"))
        elif row is source:
            table.append(replace(row, verdict=CHOSEN, why="the recipe asks for it"))
        else:
            table.append(replace(row, verdict=CHOSEN, why=f"the recipe asks for it; {_against(row, source)}"))
    return next(row for row in table if row.verdict == CHOSEN), tuple(table)


def _passing(rows: Sequence[Row], needed: float) -> List[Row]:
    return [row for row in rows if row.verdict == MEASURED and (row.quality or 0.0) >= needed]


def _rank(row: Row, passing: Sequence[Row], objective: str, stays: str = "") -> Tuple[float, ...]:
    """The lower the better; what is within a tie of the fastest counts as fast as it."""
    fastest = min(one.p50_ms or 0.0 for one in passing)
    time = 0.0 if (row.p50_ms or 0.0) <= TIE * fastest else row.p50_ms or 0.0
    inexact = -(row.quality or 0.0)
    order: Dict[str, List[float]] = {
        FASTEST: [time, row.candidate != stays, inexact, row.size],
        SMALLEST: [row.packed, inexact, time],
        MOST_EXACT: [inexact, time, row.size],
    }
    return tuple(order[objective])


def _against(row: Row, source: Row) -> str:
    parts = [f"{row.size / source.size:.0%} of the size".replace("%", " %")]
    if row.p50_ms and source.p50_ms:
        parts.append(f"{row.p50_ms / source.p50_ms:.0%} of the time".replace("%", " %"))
    if row.quality is not None and source.quality is not None:
        parts.append(f"quality {row.quality:.2f} instead of {source.quality:.2f}")
    return f"against fp32: {', '.join(parts)}"
