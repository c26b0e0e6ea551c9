# NOTE to helper "serving": the lead wrote this while you were silent (12:30); it may have replaced yours.
# You own it again: keep or rewrite, and remove this note.
"""A client for hands on a terminal: one image to one served model."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional

import requests

from edgeai_runtime.errors import InputError, TransferError

TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
TIMEOUT_S = 30


@dataclass(frozen=True)
class InferResult:
    """`outputs`: values by output name, one for each element; `ms`: the whole request."""

    model: str
    version: str
    ms: float
    outputs: Dict[str, Any]


def infer(url: str, model: Optional[str], image: Path) -> InferResult:
    """Send a PNG or JPEG file to `model` (None: the only one) at `url`, e.g. http://127.0.0.1:9001.

    Raises InputError for a wrong file or model, TransferError when nothing answers there.
    """
    kind = TYPES.get(image.suffix.lower())
    if kind is None or not image.is_file():
        raise InputError(f"{image}: there is no such PNG or JPEG file; name one.")
    name = model or _only_model(url)
    started = time.perf_counter()
    headers = {"Content-Type": kind}
    answer = _ask("POST", f"{url}/v2/models/{name}/infer", data=image.read_bytes(), headers=headers)
    ms = (time.perf_counter() - started) * 1000
    outputs = {output["name"]: output["data"] for output in answer["outputs"]}
    return InferResult(answer["model_name"], answer["model_version"], round(ms, 1), outputs)


def _only_model(url: str) -> str:
    models: List[Dict[str, str]] = _ask("GET", f"{url}/v2/models")
    if len(models) != 1:
        names = ", ".join(model["name"] for model in models) or "none"
        raise InputError(f"{url} serves {names}; name one with --model.")
    return models[0]["name"]


def _ask(method: str, url: str, **options: Any) -> Any:
    try:
        with requests.Session() as session:
            session.trust_env = False  # a device is not behind the user's proxy
            answer = session.request(method, url, timeout=TIMEOUT_S, **options)
        content = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise TransferError(f"{url}: no answer ({error}); check that the device serves there.") from None
    if answer.status_code != 200:
        raise InputError(f"{url}: {content.get('error', answer.status_code)}")
    return content
