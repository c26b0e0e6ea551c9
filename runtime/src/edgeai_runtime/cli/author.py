"""What a release's author types."""

from __future__ import annotations

import argparse
from pathlib import Path

from edgeai_runtime.cli.command import Progress, Result, argument, as_dict, command
from edgeai_runtime.paths import Paths


@command(
    "release init",
    "Begin a release of a model, with a commented example",
    argument("directory", type=Path, help="where it is written; new, or empty"),
    argument("--model", type=Path, required=True, metavar="FILE", help="an ONNX model"),
)
def release_init(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.authoring.init import init

    files = init(args.directory, args.model)
    next_step = f"read {args.directory}/release.toml, then edgeai release check {args.directory}"
    action = f"wrote {len(files)} files; {next_step}"
    return {"changed": True, "actions": [action]}


@command(
    "release build",
    "Write an author's release with its model as ONNX",
    argument("directory", type=Path, help="whose model is ONNX, TorchScript or an exported program"),
    argument("output", type=Path, help="a directory that is new"),
)
def release_build(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.authoring.build import build

    built = build(args.directory, args.output, progress)
    what = f"{built.release.name} {built.release.version}"
    exported = f", which differs by {built.furthest:.2g} at most from before" if built.exported else ""
    action = f"wrote {what} to {args.output}; its model answered {built.answers} samples{exported}"
    return {"changed": True, "actions": [action]}


@command(
    "release check",
    "Check an author's release directory",
    argument("directory", type=Path),
    argument(
        "--as",
        dest="device_class",
        metavar="CLASS",
        help="convert and judge it too, with this machine as a device of the class",
    ),
)
def release_check(args: argparse.Namespace, paths: Paths, progress: Progress) -> Result:
    from edgeai_runtime.authoring.check import read

    release, _files = read(args.directory)
    sets = release.sets
    rehearsed: Result = {}
    if args.device_class is not None:
        from edgeai_runtime.authoring.rehearse import rehearse

        made, golden = rehearse(args.directory, args.device_class, progress)
        rehearsed = {"table": as_dict(made)["table"], "golden": as_dict(golden)}
    return {
        "name": release.name,
        "version": release.version,
        "digest": release.digest,
        "samples": {
            "calibration": len(sets.calibration),
            "selection": len(sets.selection),
            "golden": len(sets.golden),
        },
        "actions": [
            f"{release.name} {release.version} is a complete release with {len(sets.golden)} golden samples"
        ],
        **rehearsed,
    }
