"""The `edgeai` command: one command run, its result shown, or its error in one sentence."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import List, Optional

from edgeai_runtime.cli.arguments import asks_a_server
from edgeai_runtime.cli.command import Result
from edgeai_runtime.cli.parser import build_parser
from edgeai_runtime.cli.show import show
from edgeai_runtime.durable import OF_THE_DISK, append_journal, cannot_write
from edgeai_runtime.errors import EdgeAIError, InputError, StorageError
from edgeai_runtime.ownership import become_owner
from edgeai_runtime.paths import Paths
from edgeai_runtime.progress import Progress


def _run(args: argparse.Namespace, paths: Paths) -> Result:
    """Run the command that was asked for; raises EdgeAIError."""
    try:
        if args.command.on_device and not asks_a_server(args):
            if not args.command.as_root:
                become_owner(paths)
            if paths.depot_ca.is_file():
                from edgeai_runtime.trust.authority import trust_depot  # which what serves need not have

                trust_depot(paths.depot_ca)
        with Progress(args.json, sys.stderr) as progress:
            return args.command.run(args, paths, progress)  # type: ignore[no-any-return]
    except PermissionError as error:
        where = error.filename or paths.root
        raise InputError(f"{where}: permission is denied; type this as its owner, or as root.") from None
    except OSError as error:  # a disk fails at any moment, also where nobody thought of it
        if error.errno not in OF_THE_DISK:
            raise
        raise cannot_write(Path(error.filename or paths.root), error) from None


def _note_failure(args: argparse.Namespace, paths: Paths, error: EdgeAIError) -> None:
    """Have the journal know of a step that failed; a device that is not provisioned has none."""
    if not args.command.step or args.check or not paths.var.is_dir():
        return
    with contextlib.suppress(StorageError):  # the error that is told may be this very one
        append_journal(
            paths, "step_failed", command=args.command.words, kind=error.kind, reason=error.message
        )


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
        _note_failure(args, paths, error)
        _show_error(error, args.json)
        return 1
    except KeyboardInterrupt:
        return 130
    try:
        if args.json:
            print(json.dumps(result, default=str))
        else:
            show(result)
        sys.stdout.flush()
    except BrokenPipeError:  # who reads it, like `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
