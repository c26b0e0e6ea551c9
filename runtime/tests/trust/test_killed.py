"""A device that is switched off again and again in a download: the depot sends hardly more than the file.

`make test-transfer` does it with 200 MB and 50 cuts.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, List

import pytest

pytest.importorskip("cryptography", reason="signing a bundle needs cryptography, which devices lack")

from making import pack, provision, write_release

from edgeai_runtime.release import file_sha256
from edgeai_runtime.trust.store import blob_path

SIZE = int(os.environ.get("EDGEAI_TEST_SIZE", 24_000_000))
CUTS = int(os.environ.get("EDGEAI_TEST_CUTS", 6))
SEED = 4
DEVICE = """\
schema = 1
name = "pi"
class = "raspberry_pi"
line = "line-1"
[depot]
url = "{url}"
[serve]
http = "127.0.0.1:9"
"""


def test_a_download_that_is_killed_again_and_again_sends_hardly_more_than_once(
    tmp_path: Path, serve: Callable[[Path], Any]
) -> None:
    source = write_release(tmp_path / "1.0.0")
    with open(source / "model.onnx", "wb") as model:
        model.truncate(SIZE)
    bundle = pack(tmp_path / "bundle", tmp_path / "keys", [source])
    device = provision(tmp_path / "device", bundle)
    depot = serve(bundle)
    device.device_toml.write_text(DEVICE.format(url=depot.url))
    command = [sys.executable, "-m", "edgeai_runtime", "--root", str(device.root)]
    command += ["fetch", "label-reader", "1.0.0"]
    running: List[subprocess.Popen[bytes]] = []

    def cut() -> None:
        if points and depot.sent >= points[0]:
            del points[0]
            running[-1].kill()

    points = sorted(random.Random(SEED).sample(range(SIZE), CUTS))
    depot.after_sending = cut
    ends = []
    while not ends or ends[-1] == -signal.SIGKILL:
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE))
        _out, complaints = running[-1].communicate()
        ends.append(running[-1].returncode)
    assert ends[-1] == 0, complaints
    model_sha256 = file_sha256(source / "model.onnx")
    assert file_sha256(blob_path(device, model_sha256)) == model_sha256
    times = depot.sent / SIZE
    print(f"killed {len(ends) - 1} times in {SIZE / 1e6:.0f} MB: the depot sent {times:.4f} times the size")
    assert len(ends) > 1
    assert times <= 1.02
