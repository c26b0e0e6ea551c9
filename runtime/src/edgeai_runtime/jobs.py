"""A command that goes on when whoever typed it is gone, and whose answer waits for them.

A job is a directory: `lock` is held by its process for as long as it runs, `told` has its progress as JSON
lines, `answer` what it answered in the end.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Dict, List, Optional, Sequence, Tuple

from edgeai_runtime.durable import write_atomic, writing
from edgeai_runtime.errors import EdgeAIError, InputError
from edgeai_runtime.paths import Paths

_LOOK_S, _ATTEMPTS = 0.2, 5
_KEPT_S = 86_400.0  # answers that nobody came for
_LOCK, _TOLD, _ANSWER = "lock", "told", "answer"


class JobLost(EdgeAIError):
    """It ended without an answer."""

    kind = "job_lost"


@dataclass(frozen=True)
class Told:
    """`sentences` since the one that was asked after, which is `next` the next time; `answer`, once it ended,
    as `edgeai --json` gives it."""

    sentences: Tuple[str, ...]
    next: int
    answer: Optional[Dict[str, Any]]


def start(paths: Paths, words: Sequence[str]) -> str:
    """Run `edgeai WORDS` in a process of its own; the job's name. One that runs already is joined.

    Raises StorageError.
    """
    name = "-".join(re.sub(r"[^A-Za-z0-9.]+", "-", word).strip("-") for word in words)
    directory = paths.jobs / name
    with writing(paths.jobs):
        directory.mkdir(parents=True, exist_ok=True)
        with open(directory / _LOCK, "a") as lock:
            if not any(_taken(lock) for _attempt in range(_ATTEMPTS)):
                return name
            _forget_others(directory)
            for file in (_TOLD, _ANSWER):
                if (directory / file).exists():
                    (directory / file).unlink()
            command = [sys.executable, "-m", "edgeai_runtime", "--root", str(paths.root)]
            subprocess.Popen(
                [*command, "job", "run", "--lock-fd", str(lock.fileno()), name, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[lock.fileno()],
                start_new_session=True,  # a connection that is lost takes its session along
            )
    return name


def run(paths: Paths, name: str, words: Sequence[str], lock: int) -> None:
    """What the job's process does: the command, and then to keep its answer. `lock`: the descriptor that
    `start` took the job's lock with, held until this process ends. Raises StorageError."""
    os.set_inheritable(lock, False)
    directory = _directory(paths, name)
    with writing(directory), open(directory / _TOLD, "wb", buffering=0) as told:
        done = subprocess.run(
            [sys.executable, "-m", "edgeai_runtime", "--root", str(paths.root), "--json", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=told,
            check=False,
        )
        write_atomic(directory / _ANSWER, done.stdout)


def wait(paths: Paths, name: str, seconds: float, after: int) -> Told:
    """What the job has told since the sentence number `after`; waits so long for more, or for its end.

    Raises InputError for one that was never started, JobLost for one that ended without an answer.
    """
    directory = _directory(paths, name)
    give_up = time.monotonic() + seconds
    sentences: List[str] = []
    read = 0
    while True:
        runs = _runs(directory)  # before the answer is looked for, which is written before it ends
        read = _read_on(directory / _TOLD, read, sentences)
        answer = _answer(directory)
        if answer is None and not runs:
            raise JobLost(f"{name}: it ended without an answer; run it again, it goes on where it can.")
        if answer is not None or len(sentences) > after or time.monotonic() > give_up:
            return Told(tuple(sentences[after:]), len(sentences), answer)
        time.sleep(_LOOK_S)


def _directory(paths: Paths, name: str) -> Path:
    directory = paths.jobs / name
    if name != Path(name).name or not directory.is_dir():
        raise InputError(f"{name}: there is no such job on this device; start it first.")
    return directory


def _taken(lock: IO[str], how: int = fcntl.LOCK_EX) -> bool:
    """Whether nobody had it, who would for a moment too if they just looked whether it is had."""
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(_LOOK_S / _ATTEMPTS)
        return False
    return True


def _runs(directory: Path) -> bool:
    with open(directory / _LOCK, "a") as lock:
        return not _taken(lock, fcntl.LOCK_SH)


def _read_on(told: Path, read: int, sentences: List[str]) -> int:
    """Add what was told behind the first `read` bytes; as many are read by then."""
    if not told.exists():
        return read
    with open(told, "rb") as file:
        file.seek(read)
        for line in file:
            if not line.endswith(b"\n"):
                break  # half of it
            read += len(line)
            with contextlib.suppress(ValueError, KeyError, TypeError):  # an engine's own words
                sentences.append(str(json.loads(line)["progress"]))
    return read


def _answer(directory: Path) -> Optional[Dict[str, Any]]:
    try:
        answer = json.loads((directory / _ANSWER).read_bytes().splitlines()[-1])
    except (OSError, ValueError, IndexError):
        return None
    return answer if isinstance(answer, dict) else None


def _forget_others(directory: Path) -> None:
    oldest = time.time() - _KEPT_S
    for other in directory.parent.iterdir():
        if other != directory and other.stat().st_mtime < oldest and not _runs(other):
            shutil.rmtree(other)
