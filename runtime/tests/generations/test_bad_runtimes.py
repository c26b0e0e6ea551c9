"""Runtimes that pass the gate and then go wrong in front of clients, with no controller there.

Each is the real one with a mistake that begins where the keeper starts it, so that the gate sees
nothing. All end on the last confirmed generation.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import sys
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Iterator, NamedTuple

import pytest
from bench import Bench
from toy import build_environment

from edgeai_runtime.errors import KeeperError
from edgeai_runtime.generations import switching

BAD = "b" * 64
BACK_S = 30.0  # from a mistake that is noticed to the first answer of the generation before


class Mistake(NamedTuple):
    """What goes wrong, where, with which reason in the verdict, after how many requests."""

    place: str
    program: str
    reason: str
    asked: int = 30


MISTAKES = {
    "crash loop": Mistake(
        "answer", "os._exit(3)", "it was started 3 times and did not stay up, last: its process ended"
    ),
    "hang": Mistake("model", "time.sleep(1e6)", "a golden sample was not answered within 8 s", 1000),
    "wrong answers": Mistake("answer", "return Response(200, b'{\"outputs\": []}')", "expected ['"),
    "errors": Mistake("answer", "raise MemoryError()", "requests failed"),
    "memory hog": Mistake("answer", "hoard()", "requests failed"),
    "killed for memory": Mistake(
        "answer",
        "bytearray(1 << 26); os.kill(os.getpid(), 9)",
        "last: its process ended (killed by signal 9)",
    ),
    "no heartbeat": Mistake("loop", "time.sleep(1e6)", "no heartbeat for 10 s"),
}
# Loaded by Python itself before anything else, in a serving process of the keeper's alone.
SABOTAGE = """
import sys
if "--listen-fd" in sys.argv:
    import os, resource, time
    from edgeai_runtime.monitor import sampler
    from edgeai_runtime.server.messages import Response
    from edgeai_runtime.server.v2.responses import Writer
    from edgeai_runtime.serving.model import Model

    calls, hoarded = [0], []

    def hoard():
        # All that it may have, which is 512 MiB more than now; nothing of it is given back.
        if not hoarded:
            with open("/proc/self/status") as status:
                used = 1024 * int(status.read().split("VmData:")[1].split()[0])
            resource.setrlimit(resource.RLIMIT_DATA, (used + (512 << 20),) * 2)
        while True:
            hoarded.append(b"x" * (1 << 20))

    right, seen, read = Writer.write, sampler.Sampler.snapshot, Model.interpret

    def answer(*arguments, **options):
        calls[0] += 1
        if calls[0] > {asked} and {place!r} == "answer":
            {mistake}
        return right(*arguments, **options)

    def interpret(*arguments):
        if calls[0] > {asked} and {place!r} == "model":
            {mistake}
        return read(*arguments)

    def snapshot(self):
        if calls[0] > {asked} and {place!r} == "loop":
            {mistake}
        return seen(self)

    Writer.write, sampler.Sampler.snapshot, Model.interpret = answer, snapshot, interpret
"""


def write_bad_environment(bench: Bench, program: str) -> None:
    build_environment(bench.paths, BAD)
    directory = bench.paths.environment(BAD)
    (directory / "mistakes").mkdir()
    (directory / "mistakes" / "sabotage.py").write_text(program)
    python = directory / "bin" / "python"
    start = "import runpy, sys; import sabotage; sys.argv[0:1] = []; "
    start += "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
    python.write_text(f"""#!/bin/sh
export PYTHONPATH="{directory}/mistakes"
shift
exec "{sys.executable}" -c "{start}" "$@"
""")


@contextlib.contextmanager
def clients(bench: Bench) -> Iterator[None]:
    """Ask without pause; what is lost is not counted, since the generation is bad."""
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError, KeyError):
                bench.ask("AB")

    threads = [threading.Thread(target=ask) for _client in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("name", MISTAKES)
def test_a_runtime_that_goes_wrong_on_trial_is_taken_back(bench: Bench, name: str) -> None:
    place, program, reason, asked = MISTAKES[name]
    write_bad_environment(bench, SABOTAGE.format(asked=asked, place=place, mistake=program))
    bench.trial(environment=BAD)
    with clients(bench):
        bench.wait_confirmed(2)  # and whoever waited for an answer of the bad one was let go
        bench.wait_served("1.0.0")
        served = time.time()
    last = bench.status()["last_reverted"]
    assert last["generation"] == 3
    assert reason in last["reason"]
    (line,) = [line for line in bench.journal() if line["event"] == "reverted"]
    assert line["reason"] == last["reason"]
    assert served - datetime.fromisoformat(line["time"]).timestamp() <= BACK_S


def test_a_runtime_that_hangs_at_start_is_not_switched_to(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switching, "READY_LIMIT_S", 2.0)
    write_bad_environment(bench, "import sys, time\nif '--listen-fd' in sys.argv: time.sleep(1e6)\n")
    with pytest.raises(KeeperError, match=r"it was not ready within 2 s; generation 2 still serves\."):
        bench.trial(environment=BAD)
    assert bench.served() == "1.0.0"


def test_an_environment_that_breaks_on_trial_is_taken_back(bench: Bench) -> None:
    write_bad_environment(bench, "")
    bench.trial(environment=BAD)
    shutil.rmtree(bench.paths.environment(BAD) / "bin")
    os.kill(bench.status()["child_pid"], signal.SIGKILL)
    bench.wait_confirmed(2)
    bench.wait_served("1.0.0")
    assert "bin/python cannot be started (there is no such file)" in bench.status()["last_reverted"]["reason"]


def test_the_reason_is_told_with_the_status(bench: Bench) -> None:
    """What a technician types on the device, with the controller gone."""
    write_bad_environment(bench, SABOTAGE.format(asked=0, place="answer", mistake="raise ValueError()"))
    with pytest.raises(KeeperError, match="asked for a golden sample of label-reader, it answered 500"):
        bench.trial(environment=BAD)
    told = json.loads(json.dumps(bench.status()))
    assert told["history"][-1]["outcome"] == "failed"
    assert Path(bench.paths.current).resolve().name == "2"
