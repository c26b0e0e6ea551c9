"""The `edgeai` command: one command run, its result shown, or its error in one sentence."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any, List, Optional, Sequence

from edgeai_runtime import commands
from edgeai_runtime.commands import Result
from edgeai_runtime.durable import OF_THE_DISK, cannot_write
from edgeai_runtime.errors import EdgeAIError
from edgeai_runtime.ownership import become_owner
from edgeai_runtime.parser import build_parser
from edgeai_runtime.paths import Paths
from edgeai_runtime.progress import Progress


def _show(result: Result) -> None:
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
    columns = list(rows[0])
    cells = [columns, *([_cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    for line in cells:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def _cell(value: Any) -> str:
    """One value as a person writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_cell, value))
    return "-" if value is None else str(value)


def _run(args: argparse.Namespace, paths: Paths) -> Result:
    """Run the command that was asked for; raises EdgeAIError."""
    try:
        if args.run in commands.ON_DEVICE:
            if args.run not in commands.AS_ROOT:
                become_owner(paths)
            if paths.depot_ca.is_file():
                commands.trust_depot(paths.depot_ca)
        with Progress(args.json, sys.stderr) as progress:
            return args.run(args, paths, progress)  # type: ignore[no-any-return]
    except OSError as error:  # a disk fails at any moment, also where nobody thought of it
        if error.errno not in OF_THE_DISK:
            raise
        raise cannot_write(Path(error.filename or paths.root), error) from None


def _show_error(error: EdgeAIError, as_json: bool) -> None:
    if as_json:
        told = {"kind": error.kind, "message": error.message, "details": error.details}
        print(json.dumps({"ok": False, "error": told}, default=str))
    else:
        print(f"edgeai: error: {error.message}", file=sys.stderr)


def main(arguments: Optional[List[str]] = None) -> int:
    """Run one command; returns the exit status (0, 1 for an error in one sentence, 2 for wrong usage)."""
    # onnxruntime's telemetry reads this before its import; whoever starts `edgeai` need not know.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    args = build_parser().parse_args(arguments)

    paths = Paths(args.root.absolute())
    try:
        result = {"ok": True, **_run(args, paths)}
    except EdgeAIError as error:
        commands.note_failure(args, paths, error)
        _show_error(error, args.json)
        return 1
    except KeyboardInterrupt:
        return 130
    try:
        if args.json:
            print(json.dumps(result, default=str))
        else:
            _show(result)
        sys.stdout.flush()
    except BrokenPipeError:  # who reads it, like `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
