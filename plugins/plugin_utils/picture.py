# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The candidates of a conversion as a picture: quality over time, the chosen one marked."""

from __future__ import annotations

from html import escape
from typing import Any, List, Mapping, Sequence

WIDTH = 760
LEFT, TOP, RIGHT, BOTTOM = 64, 64, 720, 300  # of the plot
ROW = 20  # pixels of a line of the legend
CHOSEN, OTHER, REJECTED, FAINT = "#0a7d4f", "#3b6fb6", "#b3423a", "#d8d8d8"
COLOURS = {"chosen": CHOSEN, "compared": OTHER, "rejected": REJECTED}


def picture(title: str, table: Sequence[Mapping[str, Any]]) -> str:
    """SVG of a table's rows that have figures, numbered as in the legend below, which has all of them.

    A row is what `edgeai convert` tells of a candidate: `candidate`, `quality` (0 to 1), `p50_ms`, `size`
    (bytes), `verdict` (chosen, compared, rejected) and `why`.
    """
    height = BOTTOM + 60 + ROW * len(table)
    drawn = [_tag("rect", width=WIDTH, height=height, fill="#ffffff"), _text(title, 16, 28, font_size=16)]
    if any(map(_has_figures, table)):
        drawn += _plot(table)
    for number, row in enumerate(table, 1):
        drawn += _legend(number, row, BOTTOM + 60 + ROW * (number - 1))
    content = "\n".join(drawn)
    return _tag(
        "svg",
        f"\n{content}\n",
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {height}",
        width=WIDTH,
        height=height,
        font_family="sans-serif",
        font_size=13,
    )


def _plot(table: Sequence[Mapping[str, Any]]) -> List[str]:
    measured = [row for row in table if _has_figures(row)]
    longest = 1.1 * max(row["p50_ms"] for row in measured) or 1.0
    worst = min(row["quality"] for row in measured)
    lowest = max(0.0, worst - max(0.02, 0.1 * (1.0 - worst)))
    drawn = []
    for step in range(5):
        share = step / 4
        y = BOTTOM - share * (BOTTOM - TOP)
        drawn += [
            _tag("line", x1=LEFT, y1=y, x2=RIGHT, y2=y, stroke=FAINT),
            _text(f"{lowest + share * (1.0 - lowest):.3f}", LEFT - 8, y + 4, text_anchor="end"),
            _text(f"{share * longest:.3g}", LEFT + share * (RIGHT - LEFT), BOTTOM + 18, text_anchor="middle"),
        ]
    drawn += [
        _text("quality on the selection set", 16, TOP - 14),
        _text("p50 of one sample, ms", RIGHT, BOTTOM + 34, text_anchor="end"),
    ]
    for number, row in sorted(enumerate(table, 1), key=lambda one: one[1]["verdict"] == "chosen"):
        if _has_figures(row):  # what is chosen lies above the others
            x = LEFT + row["p50_ms"] / longest * (RIGHT - LEFT)
            y = BOTTOM - (row["quality"] - lowest) / (1.0 - lowest) * (BOTTOM - TOP)
            if row["verdict"] == "chosen":
                drawn.append(_tag("circle", cx=x, cy=y, r=14, fill="none", stroke=CHOSEN, stroke_width=2))
            drawn += _mark(number, row["verdict"], x, y)
    return drawn


def _legend(number: int, row: Mapping[str, Any], y: float) -> List[str]:
    told = row["why"]
    if _has_figures(row):
        size = row["size"] / 1e6
        told = f"{row['quality']:.3f}, {row['p50_ms']:.3g} ms, {size:.2f} MB, {row['verdict']}"
    return [
        *_mark(number, row["verdict"], 26, y - 4),
        _text(f"{row['candidate']}: {told[:110]}", 44, y),
    ]


def _mark(number: int, verdict: str, x: float, y: float) -> List[str]:
    return [
        _tag("circle", cx=x, cy=y, r=9, fill=COLOURS.get(verdict, OTHER)),
        _text(str(number), x, y + 4, text_anchor="middle", fill="#ffffff", font_size=11),
    ]


def _has_figures(row: Mapping[str, Any]) -> bool:
    return row["p50_ms"] is not None and row["quality"] is not None


def _text(said: str, x: float, y: float, **attributes: Any) -> str:
    return _tag("text", escape(said), x=x, y=y, **attributes)


def _tag(name: str, content: str = "", **attributes: Any) -> str:
    rounded = {
        key: round(value, 1) if isinstance(value, float) else value for key, value in attributes.items()
    }
    told = "".join(f' {key.replace("_", "-")}="{value}"' for key, value in rounded.items())
    return f"<{name}{told}>{content}</{name}>"
