"""A program with the options of trtexec that are ours, as NVIDIA documents them for a version.

https://docs.nvidia.com/deeplearning/tensorrt, "Command-Line Programs". FAKE_TRTEXEC says, as JSON, which
`version` it is, where it logs its calls, whether it `fails` to "build" or "run", and whether it `hangs`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Dict, List

ALWAYS = "onnx saveEngine loadEngine minShapes optShapes maxShapes shapes timingCacheFile"
ALWAYS += " iterations duration warmUp"
SINCE_8_6 = "memPoolSize skipInference versionCompatible hardwareCompatibilityLevel"
OPTIONS: Dict[str, List[str]] = {
    "8.2": f"{ALWAYS} workspace fp16 int8 buildOnly".split(),
    "8.4": f"{ALWAYS} memPoolSize workspace fp16 int8 buildOnly".split(),
    "10": f"{ALWAYS} {SINCE_8_6} fp16 int8 stronglyTyped".split(),
    "11": f"{ALWAYS} {SINCE_8_6}".split(),
}


def say(level: str, text: str) -> None:
    print(f"[11/30/2026-10:00:00] [{level}] {text}", flush=True)


def main() -> int:
    behaviour = json.loads(os.environ["FAKE_TRTEXEC"])
    with open(behaviour["log"], "a") as log:
        print(json.dumps(sys.argv[1:]), file=log)
    options = OPTIONS[behaviour["version"]]
    if "--help" in sys.argv:
        print("=== Options ===\n" + "\n".join(f"  --{name}    what it does" for name in options))
        return 0
    given = dict(argument[2:].partition("=")[::2] for argument in sys.argv[1:])
    for name in given:
        if name not in options:
            say("E", f"Unknown option: --{name}")
            return 1
    if "onnx" in given:
        assert Path(given["onnx"]).is_file()
        say("I", "Start parsing network model.")
        if behaviour.get("hangs"):
            threading.Event().wait()
        if behaviour.get("fails") == "build":
            say("E", "[TRT] Error Code 4: no implementation.")
            say("E", "Engine could not be created")
            return 1
        Path(given["saveEngine"]).write_bytes(b"engine")
        say("I", "Engine built in 1.5 sec.")
    else:
        assert Path(given["loadEngine"]).read_bytes() == b"engine"
        say("I", "Starting inference")
        if behaviour.get("fails") == "run":
            say("E", "[TRT] Error Code 1: launch failed.")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
