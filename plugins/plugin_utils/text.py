# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain text for people: aligned tables and figures."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

LAST_RULE = 40  # columns; the last column may be a sentence, which needs no rule above all of it


def cell(value: Any) -> str:
    """One value as a reader wants it: nothing as "-", floats with one decimal up to 100."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {cell(item)}" for key, item in value.items()) or "-"
    if isinstance(value, (list, tuple)):
        return ", ".join(cell(item) for item in value) or "-"
    return " ".join(str(value).split())


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """The columns of the rows, aligned: figures to the right, words to the left.

    A column is a key, or "key=Heading".
    """
    keys = [column.partition("=")[0] for column in columns]
    heads = [column.partition("=")[2] or column.replace("_", " ") for column in columns]
    cells = [[cell(row.get(key)) for key in keys] for row in rows]
    widths = [max(len(line[i]) for line in [heads, *cells]) for i in range(len(keys))]
    rules = ["-" * width for width in widths[:-1]] + ["-" * min(widths[-1], LAST_RULE)]
    figures = [
        any(is_figure(row.get(key)) for row in rows)
        and all(is_figure(row.get(key)) or row.get(key) is None for row in rows)
        for key in keys
    ]

    def line(words: Sequence[str]) -> str:
        placed = [
            word.rjust(width) if figure else word.ljust(width)
            for word, width, figure in zip(words, widths, figures)
        ]
        return "  ".join(placed).rstrip()

    return "\n".join([line(heads), "  ".join(rules), *map(line, cells)])


def is_figure(value: Any) -> bool:
    """Whether a value is a number to a reader."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
