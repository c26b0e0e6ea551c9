"""Which ways of converting a model are tried, and which one is used.

Today the recipe decides: its candidate is used, and fp32 stands beside it to compare. A search
widens `candidates` and lets `choose` decide among the rows; nothing else has to know.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Dict, Mapping, Sequence, Tuple

from edgeai_runtime.convert.conversion import Row
from edgeai_runtime.release import Recipe

NAMES = {"none": "fp32", "dynamic": "int8 dynamic", "static": "int8 static"}


@dataclass(frozen=True)
class Candidate:
    """One way to convert. `used` is False for a candidate that is only measured to compare."""

    name: str
    recipe: Recipe
    used: bool

    def to_json(self) -> Dict[str, Any]:
        """As what the converting process reads."""
        return {"name": self.name, "recipe": asdict(self.recipe), "used": self.used}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Candidate:
        recipe = dict(data["recipe"], operators=tuple(data["recipe"]["operators"]))
        return cls(data["name"], Recipe(**recipe), data["used"])


def recipe_name(recipe: Recipe) -> str:
    """A recipe in two words for people: "int8 static", "fp32, 30 % pruned"."""
    pruned = f", {recipe.prune:.0%} pruned".replace("%", " %") if recipe.prune else ""
    return NAMES[recipe.quantize] + pruned


def candidates(recipe: Recipe) -> Tuple[Candidate, ...]:
    """The candidates for a recipe, in the order of the table."""
    demanded = Candidate(recipe_name(recipe), recipe, used=True)
    if demanded.name == NAMES["none"]:
        return (demanded,)
    return (Candidate(NAMES["none"], replace(recipe, quantize="none", prune=0.0), used=False), demanded)


def choose(rows: Sequence[Row], demanded: str) -> Tuple[Row, Tuple[Row, ...]]:
    """The row that is used, and the table with every row's verdict."""
    source = rows[0]
    table = []
    for row in rows:
        if row.candidate != demanded:
            table.append(replace(row, verdict="compared", why="the recipe does not ask for it"))
        elif row is source:
            table.append(replace(row, verdict="chosen", why="the recipe asks for it"))
        else:
            table.append(
                replace(row, verdict="chosen", why=f"the recipe asks for it; {_against(row, source)}")
            )
    return next(row for row in table if row.verdict == "chosen"), tuple(table)


def _against(row: Row, source: Row) -> str:
    parts = [f"{row.size / source.size:.0%} of the size".replace("%", " %")]
    if row.p50_ms and source.p50_ms:
        parts.append(f"{row.p50_ms / source.p50_ms:.0%} of the time".replace("%", " %"))
    if row.quality is not None and source.quality is not None:
        parts.append(f"quality {row.quality:.2f} instead of {source.quality:.2f}")
    return f"against fp32: {', '.join(parts)}"
