"""The golden set, asked over HTTP of a candidate generation in the process that would serve it."""

from __future__ import annotations

import http.client
import json
import math
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from edgeai_runtime.errors import BackendError, GateFailed
from edgeai_runtime.gates.process import Candidate, candidate
from edgeai_runtime.gates.verdict import Golden, Known, Verdict, as_details, judge
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Answer, Expected, Release, compared, is_right, quality
from edgeai_runtime.release.parts import content_type
from edgeai_runtime.trust.store import blob_path

REQUEST_LIMIT_S = 60.0
_KEPT = 1000  # values of an answer that the keeper compares with


def prove(
    paths: Paths,
    generation: Path,
    environment: str,
    releases: Sequence[Release],
    still: str,
    progress: Callable[[str], None],
) -> List[Verdict]:
    """Measure every release of `releases` under the generation in `generation`; returns their verdicts.

    `still` ends the sentence of a failure: what serves on ("1.1.0 still serves").
    Raises GateFailed, whose details are the verdicts, when one does not pass.
    """
    if not releases:
        return []
    names = ", ".join(f"{release.name} {release.version}" for release in releases)
    progress(f"measuring {names} on the golden set")
    verdicts = []
    try:
        with candidate(paths, generation, environment) as process:
            for release in releases:
                verdicts.append(judge(release, ask(paths, process, release)))
                progress(f"{release.name} {release.version}: {verdicts[-1].figures()}")
    except BackendError as error:
        raise GateFailed(
            f"{names} was not switched to: it does not start on this device: {error.message}; {still}.",
            **as_details(verdicts),
        ) from None
    failed = [verdict for verdict in verdicts if not verdict.passed]
    if failed:
        told = "; ".join(f"{v.model} {v.version} was not switched to: {v.failure()}" for v in failed)
        raise GateFailed(f"{told}; {still}.", **as_details(verdicts))
    return verdicts


def ask(paths: Paths, process: Candidate, release: Release) -> Golden:
    """Post each golden sample, one after the other on one connection, and compare its answer.

    An error instead of an answer is a wrong answer; when the process died the rest is wrong too.
    """
    connection = http.client.HTTPConnection(process.address, timeout=REQUEST_LIMIT_S)
    times: List[float] = []
    right, trouble, judged, gone = 0, "", quality(release.quality), False
    known: Optional[Known] = None
    smallest = math.inf
    for sample in release.sets.golden:
        content, expect = blob_path(paths, sample.sha256).read_bytes(), sample.expect
        assert expect is not None  # checked when the release was read
        started = time.perf_counter()
        answer, error = (None, "") if gone else _answer(connection, release.name, content, compared(expect))
        judged.add(expect, answer)
        if answer is not None:
            times.append((time.perf_counter() - started) * 1000)
            told, exact = _told(expect, answer), is_right(expect, answer)
            right += exact
            if exact and told and len(content) < smallest:
                known, smallest = Known(sample.sha256, content_type(content), told), len(content)
        trouble = trouble or error
        if not gone and not process.alive():
            gone, trouble = True, process.ending()
    connection.close()
    figures = (judged.value(), right, tuple(times), process.peak_rss_mb())
    return Golden(len(release.sets.golden), *figures, trouble, known)


def _told(expect: Expected, answer: Answer) -> Dict[str, List[Any]]:
    """What the keeper is to be told again; nothing where that is too much for it."""
    # Of a pipeline words alone: the keeper compares them exactly, and coordinates need not come out so.
    names = list(expect) if isinstance(expect, dict) else ["text" if "text" in answer else "label"]
    told = {name: list(answer[name]) for name in names}
    return told if sum(map(len, told.values())) <= _KEPT else {}


def _answer(
    connection: http.client.HTTPConnection, model: str, content: bytes, names: Sequence[str]
) -> Tuple[Optional[Dict[str, List[Any]]], str]:
    """The data of the outputs that a sample is compared with, or None and what went wrong."""
    headers = {"Content-Type": content_type(content)}
    try:
        connection.request("POST", f"/v2/models/{model}/infer", content, headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
        if response.status != 200:
            happened = str(answer["error"]).split("; ", maxsplit=1)[0]  # what follows says what to do
            return None, happened.rstrip(".")
        found = {o["name"]: list(o["data"]) for o in answer["outputs"] if o["name"] in names}
        return (found, "") if found else (None, f"its answer has no output {' or '.join(names)}")
    except (OSError, http.client.HTTPException) as error:
        connection.close()  # the next request opens it anew
        return None, f"{type(error).__name__}: {error}"
    except (ValueError, KeyError, IndexError, TypeError):
        return None, "its answer is not the inference protocol's JSON"
