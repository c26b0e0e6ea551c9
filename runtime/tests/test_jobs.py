"""A command that runs as a job goes on when whoever started it is gone, and its answer waits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest

from edgeai_runtime import jobs
from edgeai_runtime.errors import InputError
from edgeai_runtime.jobs import JobLost, Told
from edgeai_runtime.paths import Paths

BOUND_S = 60.0
# In the place of `edgeai COMMAND`: it tells, waits to be let, and answers.
COMMAND = """
import json, os, sys, time
from pathlib import Path
place = Path(os.environ["PLACE"])
with open(place / "started", "a") as file:
    file.write(f"{os.getpid()}\\n")
for sentence in ("one", "two"):
    line = json.dumps({"progress": sentence}) + "\\n"
    for half in (line[:9], line[9:]):
        print(half, end="", file=sys.stderr, flush=True)
        time.sleep(0.3)
print("an engine's own words", file=sys.stderr, flush=True)
while not (place / "end").exists():
    pass
print(json.dumps({"ok": True, "asked": sys.argv[1:]}))
"""


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A device whose job processes run COMMAND for what they are to do."""
    monkeypatch.setenv("PLACE", str(tmp_path))
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import sys\n"
        "import subprocess\n"
        "real = subprocess.run\n"
        f"program = {COMMAND!r}\n"
        "def run(command, **options):\n"
        "    return real([sys.executable, '-S', '-c', program, *command[6:]], **options)\n"
        "subprocess.run = run\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), *sys.path]))
    (tmp_path / "var/lib/edgeai").mkdir(parents=True)
    return Paths(tmp_path)


def edgeai(paths: Paths, *words: str) -> Dict[str, Any]:
    command = [sys.executable, "-m", "edgeai_runtime", "--root", str(paths.root), "--json", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    answer: Dict[str, Any] = json.loads(done.stdout)
    return answer


def started(paths: Paths) -> List[int]:
    """The processes that did the command so far; waits for the first."""
    file = paths.root / "started"
    while not file.exists() or not file.read_text().endswith("\n"):
        pass
    return [int(line) for line in file.read_text().split()]


def all_told(paths: Paths, name: str, count: int) -> Told:
    while True:
        told = jobs.wait(paths, name, BOUND_S, 0)
        if len(told.sentences) >= count:
            return told


def test_it_tells_how_it_goes_and_answers_in_the_end(paths: Paths) -> None:
    name = edgeai(paths, "job", "start", "convert", "label-reader", "1.2.0")["job"]
    assert name == "convert-label-reader-1.2.0"
    told = all_told(paths, name, 2)
    assert (told.sentences, told.next, told.answer) == (("one", "two"), 2, None)
    (paths.root / "end").touch()
    answer = edgeai(paths, "job", "wait", name, "--after", "2")
    while answer["answer"] is None:
        answer = edgeai(paths, "job", "wait", name, "--after", str(answer["next"]))
    assert answer["sentences"] == []
    assert answer["answer"] == {"ok": True, "asked": ["convert", "label-reader", "1.2.0"]}


def test_a_second_one_joins_the_first(paths: Paths) -> None:
    words = ("job", "start", "convert", "label-reader", "1.2.0")
    first, second = edgeai(paths, *words), edgeai(paths, *words)
    assert first["job"] == second["job"]
    started(paths)
    (paths.root / "end").touch()
    while jobs.wait(paths, first["job"], BOUND_S, 2).answer is None:
        pass
    assert len(started(paths)) == 1
    edgeai(paths, *words)
    while jobs.wait(paths, first["job"], BOUND_S, 2).answer is None:
        pass
    assert len(started(paths)) == 2, "once it ended it is done again"


def test_it_is_in_no_session_that_could_take_it_along(paths: Paths) -> None:
    name = edgeai(paths, "job", "start", "convert", "label-reader", "1.2.0")["job"]
    (process,) = started(paths)
    assert os.getsid(process) != os.getsid(0)
    (paths.root / "end").touch()
    while jobs.wait(paths, name, BOUND_S, 2).answer is None:
        pass


def test_one_that_was_killed_is_told_as_lost(paths: Paths) -> None:
    name = edgeai(paths, "job", "start", "convert", "label-reader", "1.2.0")["job"]
    (process,) = started(paths)
    os.killpg(os.getpgid(process), signal.SIGKILL)
    with pytest.raises(JobLost, match="it ended without an answer; run it again"):
        jobs.wait(paths, name, BOUND_S, 99)


def test_one_that_was_never_started_is_named(paths: Paths) -> None:
    for name in ("convert-other-1.0.0", "../alarms"):
        with pytest.raises(InputError, match="there is no such job on this device"):
            jobs.wait(paths, name, 0.0, 0)


def test_a_mistake_in_the_command_is_told_at_once(paths: Paths) -> None:
    command = [
        sys.executable,
        "-m",
        "edgeai_runtime",
        "--root",
        str(paths.root),
        "job",
        "start",
        "convret",
        "a",
    ]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "invalid choice: 'convret'" in done.stderr
    assert not paths.jobs.exists()
