"""A result as a person reads it."""

from __future__ import annotations

from typing import Any, Sequence

from edgeai_runtime.cli.command import Result


def show(result: Result) -> None:
    """Show a result to a person: the sentences first, then the figures, tables last."""
    for action in result.get("actions", []):
        print(action)
    for key, value in result.items():
        if key in ("ok", "changed", "actions") or value in (None, [], (), {}):
            continue
        rows = value.get("gates") if isinstance(value, dict) else value
        if isinstance(rows, (list, tuple)) and rows and isinstance(rows[0], dict):
            _show_table(rows)
        elif isinstance(value, dict):
            print(f"{key}: {', '.join(f'{name} {_cell(found)}' for name, found in value.items())}")
        else:
            print(f"{key}: {_cell(value)}")


def _show_table(rows: Sequence[Result]) -> None:
    # What has parts of its own is for programs.
    columns = [name for name in rows[0] if not any(_has_parts(row.get(name)) for row in rows)]
    cells = [columns, *([_cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    for line in cells:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def _has_parts(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and isinstance(value[0], dict)


def _cell(value: Any) -> str:
    """One value as a person writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_cell, value))
    return "-" if value is None else str(value)
