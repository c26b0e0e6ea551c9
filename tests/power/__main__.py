"""Cut the power at every point of an update and see the device come back: `make test-power`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import List, Optional

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before anything imports onnxruntime
sys.path.append(str(Path(__file__).parent))

from device import Bundle, Device, make_bundles
from media import MEDIA, Killed, missing_for_images
from tracing import missing_for_tracing
from trees import Pool
from update import Row, Update

MEMORY = Path("/dev/shm")  # where thousands of small files cost least
HEAD = (
    f"{'medium':14} {'stage':22} {'points':>6} {'states':>6} {'as 1.0':>6} {'as 1.1':>6} {'completed':>9} "
    f"{'leaked':>6} {'boot max s':>10} {'seconds':>7}"
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", default="all", help="'all', or at most so many of each stage")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--medium", action="append", choices=[medium.name for medium in MEDIA])
    parser.add_argument("--stage", action="append", help="cut these only (default: all)")
    # Where the process that starts this one made them.
    parser.add_argument("--bundles", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bundles:
        return walk(options)
    missing = missing_for_tracing()
    if missing:
        print(f"Not run: {missing}.")
        return 0
    wanted = options.medium or [medium.name for medium in MEDIA]
    images = [name for name in wanted if name != Killed.name]
    missing = missing_for_images() if images else ""
    if missing:
        print(f"Not run on {', '.join(images)}: {missing}.")
        wanted = [name for name in wanted if name == Killed.name]
    if not wanted:
        return 0
    begun = time.monotonic()
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 8 << 30
    with tempfile.TemporaryDirectory(prefix="edgeai-power-", dir=MEMORY if roomy else None) as directory:
        (Path(directory) / "bundles.json").write_text(json.dumps(make_bundles(Path(directory))))
        print(HEAD, flush=True)
        running = [start(name, directory, options) for name in wanted]
        failed = [name for name, process in zip(wanted, running) if process.wait() != 0]
        told = [json.loads(path.read_text()) for path in Path(directory).glob("told-*.json")]
    points, states, bad = (sum(one[key] for one in told) for key in ("points", "states", "bad"))
    print(f"{points} points, {states} states, {bad} bad, {time.monotonic() - begun:.0f} s in all")
    if failed:
        print(f"Failed on {', '.join(failed)}.")
    return 1 if failed else 0


def start(medium: str, bundles: str, options: argparse.Namespace) -> subprocess.Popen[bytes]:
    """One medium in a process of its own, with which its mounts vanish."""
    command = [sys.executable, str(Path(__file__).parent), "--bundles", bundles, "--medium", medium]
    command += ["--points", options.points, "--seed", str(options.seed)]
    command += [word for stage in options.stage or () for word in ("--stage", stage)]
    return subprocess.Popen(command if medium == Killed.name else ["unshare", "--mount", *command])


def walk(options: argparse.Namespace) -> int:
    base = Path(options.bundles)
    bundles = [Bundle(*bundle) for bundle in json.loads((base / "bundles.json").read_text())]
    (kind,) = [medium for medium in MEDIA if medium.name == options.medium[0]]
    limit: Optional[int] = None if options.points == "all" else int(options.points)
    rows: List[Row] = []
    bad: List[str] = []

    def say(sentence: str) -> None:
        bad.append(sentence)
        print(f"  ! {sentence}", flush=True)

    with tempfile.TemporaryDirectory(prefix="device-", dir=base) as directory:
        work = Path(directory)
        root = work / "root"
        root.mkdir()
        update = Update(kind(root, Pool(work / "pool"), work), Device(root, work / "log"), bundles, say)
        for stage in update.stages():
            cut = options.stage is None or stage.name in options.stage
            row = update.walk(stage, limit if cut else 0, options.seed)
            if cut:
                rows.append(row)
                print(line(row), flush=True)
                if not row.cuts:
                    say(f"{row.medium}, {row.stage}: no point was drawn")
    if not rows:
        say(f"{kind.name}: no stage is named {' or '.join(options.stage)}")
    points, states = sum(row.points for row in rows), sum(row.cuts for row in rows)
    told = {"points": points, "states": states, "bad": len(bad)}
    (base / f"told-{kind.name}.json").write_text(json.dumps(told))
    return 1 if bad else 0


def line(row: Row) -> str:
    figures = f"{row.points:6} {row.cuts:6} {row.old:6} {row.new:6} {row.completed:9} {row.leaked:6}"
    return f"{row.medium:14} {row.stage:22} {figures} {row.slowest_boot_s:10.1f} {row.seconds:7.0f}"


if __name__ == "__main__":
    sys.exit(main())
