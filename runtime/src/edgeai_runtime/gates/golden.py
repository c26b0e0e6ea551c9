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
from edgeai_runtime.release import ANSWERS, Release, is_right
from edgeai_runtime.trust.store import blob_path

REQUEST_LIMIT_S = 60.0
_PNG = b"\x89PNG"


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
    """Post each golden image, one after the other on one connection, and compare its answer.

    An error instead of an answer is a wrong answer; when the process died the rest is wrong too.
    """
    connection = http.client.HTTPConnection(process.address, timeout=REQUEST_LIMIT_S)
    times: List[float] = []
    right, trouble = 0, ""
    known: Optional[Known] = None
    smallest = math.inf
    for sample in release.sets.golden:
        image = blob_path(paths, sample.sha256).read_bytes()
        started = time.perf_counter()
        answer, error = _answer(connection, release.name, image)
        if answer is not None and sample.expect is not None:
            times.append((time.perf_counter() - started) * 1000)
            exact = is_right(sample.expect, answer)
            right += exact
            if exact and len(image) < smallest:
                known, smallest = Known(sample.sha256, _content_type(image), _told(answer)), len(image)
        trouble = trouble or error
        if not process.alive():
            trouble = process.ending()
            break
    connection.close()
    return Golden(len(release.sets.golden), right, tuple(times), process.peak_rss_mb(), trouble, known)


def _content_type(image: bytes) -> str:
    return "image/png" if image.startswith(_PNG) else "image/jpeg"


def _told(answer: Dict[str, List[Any]]) -> Dict[str, List[Any]]:
    # Words alone: the keeper compares exactly, and coordinates need not come out so.
    name = "text" if "text" in answer else "label"
    return {name: answer[name]}


def _answer(
    connection: http.client.HTTPConnection, model: str, image: bytes
) -> Tuple[Optional[Dict[str, List[Any]]], str]:
    """The data of the outputs that a sample is compared with, or None and what went wrong."""
    headers = {"Content-Type": _content_type(image)}
    try:
        connection.request("POST", f"/v2/models/{model}/infer", image, headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
        if response.status != 200:
            happened = str(answer["error"]).split("; ", maxsplit=1)[0]  # what follows says what to do
            return None, happened.rstrip(".")
        found = {o["name"]: list(o["data"]) for o in answer["outputs"] if o["name"] in ANSWERS}
        return (found, "") if found else (None, f"its answer has no output {' or '.join(ANSWERS)}")
    except (OSError, http.client.HTTPException) as error:
        connection.close()  # the next request opens it anew
        return None, f"{type(error).__name__}: {error}"
    except (ValueError, KeyError, IndexError, TypeError):
        return None, "its answer is not the inference protocol's JSON"
