"""onnxruntime called in a loop by the process that has the values: the limit for everybody."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, List, Sequence

from benchmarks.environments import Environment, locked
from benchmarks.peers.base import Peer, open_session, program

if TYPE_CHECKING:
    from benchmarks.networks import Network


class Raw(Peer):
    name = "raw"
    title = "raw onnxruntime loop"
    package = "onnxruntime"
    listens = False

    def requirements(self) -> Sequence[str]:
        return [locked("onnxruntime"), locked("numpy")]

    def command(self, environment: Environment, network: Network, port: int, work: Path) -> List[str]:
        return program("benchmarks.peers.raw", environment, network, *network.shape)


def run(path: str, given: str, shape: List[int]) -> None:
    """Say READY, then for each line of seconds on standard input what load.lua says of a run."""
    import numpy as np

    session = open_session(path)
    values = np.full([1, *shape], 0.25, np.float32)
    feeds = {given: values}
    first = values.reshape(-1)
    session.run(None, feeds)
    print("READY", flush=True)
    for line in sys.stdin:
        times: List[int] = []
        began = now = time.perf_counter_ns()
        end = began + float(line) * 1e9
        while now < end:
            first[0] = len(times) % 4096 / 4096  # another input each time, as servers get
            session.run(None, feeds)
            before, now = now, time.perf_counter_ns()
            times.append(now - before)
        times.sort()
        p50, p99 = (times[int(len(times) * part)] // 1000 for part in (0.5, 0.99))
        print(f"RESULT {len(times)} {(now - began) // 1000} {p50} {p99} 0 0 0 0 0", flush=True)


if __name__ == "__main__":
    run(sys.argv[2], sys.argv[3], [int(size) for size in sys.argv[5:]])
