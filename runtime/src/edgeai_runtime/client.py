"""Ask a device for an answer, as any HTTP client would."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Optional

import requests

from edgeai_runtime.errors import BackendError, InputError, TransferError

TIMEOUT_S = 60.0


@dataclass(frozen=True)
class InferResult:
    """`outputs`: values by output name; `ms`: there and back; `model` and `version`: what answered."""

    model: str
    version: str
    ms: float
    outputs: Dict[str, Any]


def infer(url: str, model: Optional[str], image: Path) -> InferResult:
    """Send a PNG or JPEG file to `model` (None: the only one) at `url`, e.g. http://127.0.0.1:9001.

    Raises InputError for what the caller or the image did wrong, BackendError when the model
    failed, TransferError when no device answers at `url`. A token is taken from EDGEAI_TOKEN, the CA that
    vouches for a device from SSL_CERT_FILE.
    """
    try:
        data = image.read_bytes()
    except OSError as error:
        raise InputError(f"{image}: cannot be read ({error.strerror}); check the path.") from None
    headers = {"Content-Type": _content_type(image, data)}
    url = url.rstrip("/")
    with requests.Session() as session:
        # A device is asked directly, whatever proxy the environment names.
        session.trust_env = False
        session.verify = os.environ.get("SSL_CERT_FILE") or True
        token = os.environ.get("EDGEAI_TOKEN")  # no argument: those are seen by everybody on a machine
        if token:
            session.headers["Authorization"] = f"Bearer {token}"
        name = model if model is not None else _only_model(session, url)
        started = time.perf_counter()
        answer = _ask(session, "POST", f"{url}/v2/models/{name}/infer", data=data, headers=headers)
        ms = (time.perf_counter() - started) * 1000
    outputs = {output["name"]: output["data"] for output in answer["outputs"]}
    return InferResult(answer["model_name"], answer["model_version"], round(ms, 1), outputs)


def _only_model(session: requests.Session, url: str) -> str:
    names = [str(model["name"]) for model in _ask(session, "GET", f"{url}/v2/models")]
    if not names:
        raise InputError(f"{url} serves no model; roll a release out to it first.")
    if len(names) > 1:
        raise InputError(f"{url} serves {', '.join(sorted(names))}; name one with --model.")
    return names[0]


def _content_type(path: Path, data: bytes) -> str:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    raise InputError(f"{path}: this is no PNG or JPEG image; convert it to one of these.")


def _ask(session: requests.Session, method: str, url: str, **options: Any) -> Any:
    try:
        response = session.request(method, url, timeout=TIMEOUT_S, **options)
    except requests.Timeout:
        raise TransferError(f"{url}: no answer within {TIMEOUT_S:g} s; check the device's health.") from None
    except requests.ConnectionError:
        raise TransferError(f"{url}: nothing answers there; check the address and the device.") from None
    except requests.RequestException as error:
        raise InputError(f"{url}: this cannot be asked ({error}); correct the address.") from None
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if response.ok and answer is not None:
        return answer
    if not isinstance(answer, dict) or "error" not in answer:
        raise TransferError(f"{url}: HTTP {response.status_code}, not a device's answer; check the address.")
    raise (BackendError if response.status_code >= 500 else InputError)(str(answer["error"]))
