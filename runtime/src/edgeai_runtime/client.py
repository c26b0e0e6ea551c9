"""Ask whoever serves for what he tells and for an answer, by HTTP or by a device's Unix socket."""

from __future__ import annotations

import os
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, Iterator, Optional, Tuple, Type
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import ProtocolError

from edgeai_runtime.errors import BackendError, InputError, TransferError
from edgeai_runtime.monitor.asking import connected
from edgeai_runtime.release.parts import content_type, is_image

TIMEOUT_S = 60.0
MODELS = "/v2/models"


@dataclass(frozen=True)
class InferResult:
    """`outputs`: values by output name; `ms`: there and back; `model` and `version`: what answered."""

    model: str
    version: str
    ms: float
    outputs: Dict[str, Any]


class Client:
    """Whoever serves at `url`, e.g. http://127.0.0.1:9001, or at the Unix socket `uds`.

    Its methods raise InputError for what the caller did wrong, BackendError when the model failed,
    TransferError when no device answers there. A token is taken from EDGEAI_TOKEN, the CA that vouches for
    a device from SSL_CERT_FILE.
    """

    def __init__(self, url: Optional[str] = None, uds: Optional[Path] = None) -> None:
        """Raises InputError for what is no address."""
        if url is not None:
            _check(url)
        self._session = requests.Session()
        # A device is asked directly, whatever proxy the environment names.
        self._session.trust_env = False
        self._session.verify = os.environ.get("SSL_CERT_FILE") or True
        self._session.headers.update(token())
        self.url = (url or "http://localhost").rstrip("/")
        self.uds = None if url else uds
        if self.uds is not None:
            self._session.mount(self.url, _UnixAdapter(self.uds))

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._session.close()

    def get(self, path: str) -> Any:
        """What is told at `path`, e.g. /v2/models."""
        return self._ask("GET", path)

    def only_model(self) -> str:
        """The name of the one model that is served."""
        names = sorted(str(model["name"]) for model in self.get(MODELS))
        where = self.uds or self.url
        if not names:
            raise InputError(f"{where} serves no model; roll a release out to it first.")
        if len(names) > 1:
            raise InputError(f"{where} serves {', '.join(names)}; name one with --model.")
        return names[0]

    def infer(self, model: Optional[str], file: Path) -> InferResult:
        """The answer of `model` (None: the only one) to a PNG or JPEG file, or to a V2 request in JSON."""
        data, kind = question(file)
        headers = {"Content-Type": kind}
        name = model or self.only_model()
        started = time.perf_counter()
        answer = self._ask("POST", f"{path_of(name)}/infer", data=data, headers=headers)
        ms = (time.perf_counter() - started) * 1000
        outputs = {output["name"]: output["data"] for output in answer["outputs"]}
        return InferResult(answer["model_name"], answer["model_version"], round(ms, 1), outputs)

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        where = self.uds or self.url + path
        try:
            response = self._session.request(method, self.url + path, timeout=TIMEOUT_S, **options)
        except requests.Timeout:
            raise TransferError(
                f"{where}: no answer within {TIMEOUT_S:g} s; check the device's health."
            ) from None
        except requests.exceptions.SSLError as error:
            raise TransferError(f"{where}: {_distrust(error)}") from None
        except requests.ConnectionError as error:
            said = "nothing answers there; check the address and the device."
            if self.uds is None and any(isinstance(cause, ProtocolError) for cause in _causes(error)):
                said = "who is there hung up; look at its log, and ask https:// where it has a certificate."
            raise TransferError(f"{where}: {said}") from None
        except requests.RequestException as error:
            raise InputError(f"{where}: this cannot be asked ({error}); correct the address.") from None
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if response.ok and answer is not None:
            return answer
        if not isinstance(answer, dict) or "error" not in answer:
            raise TransferError(
                f"{where}: HTTP {response.status_code}, not a device's answer; check the address."
            )
        raise (BackendError if response.status_code >= 500 else InputError)(str(answer["error"]))


def path_of(model: str) -> str:
    """Where a server has the model, whatever its name is made of."""
    return f"{MODELS}/{quote(model, safe='')}"


def _check(url: str) -> None:
    """That it is where a server can be. Raises InputError."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of the port, or of brackets
        good = False
    if not good:
        raise InputError(f"'{url}' is no address of a server, expected one like http://127.0.0.1:8080.")
    ca = os.environ.get("SSL_CERT_FILE")
    if parts.scheme == "https" and ca and not Path(ca).is_file():
        raise InputError(f"{ca}: there is no such file; have SSL_CERT_FILE name a CA, or unset it.")


def _causes(error: Optional[BaseException]) -> Iterator[BaseException]:
    """The error, and those that it was made of: requests and urllib3 wrap what they meet."""
    while error is not None:
        yield error
        inside = getattr(error, "reason", None) or next(iter(error.args), None)
        error = inside if isinstance(inside, BaseException) else error.__cause__


def _distrust(error: BaseException) -> str:
    """Why there is no TLS with a server, and what to do."""
    *_wrapping, innermost = _causes(error)
    if isinstance(innermost, ssl.SSLCertVerificationError):
        said = innermost.verify_message.rstrip(".")
        return (
            f"its certificate is not trusted here ({said}); have SSL_CERT_FILE name the file of the CA that "
            "vouches for it, and ask by a name that it is for."
        )
    why = getattr(innermost, "reason", None) or innermost
    return (
        f"there is no TLS with it ({why}); ask http:// where it has no certificate, and see that "
        "SSL_CERT_FILE, where you set it, names certificates in PEM."
    )


def token() -> Dict[str, str]:
    """The header with the token that the environment holds: an argument would be seen by everybody."""
    text = os.environ.get("EDGEAI_TOKEN")
    return {"Authorization": f"Bearer {text}"} if text else {}


def picture(image: Path) -> Tuple[bytes, str]:
    """The bytes of a PNG or JPEG file, and their content type. Raises InputError."""
    data = _read(image)
    if not is_image(data):
        raise InputError(f"{image}: this is no PNG or JPEG image; convert it to one of these.")
    return data, content_type(data)


def question(file: Path) -> Tuple[bytes, str]:
    """The bytes of a PNG, a JPEG or a V2 request in JSON, and their content type. Raises InputError."""
    data = _read(file)
    if not is_image(data) and not data.lstrip().startswith(b"{"):
        raise InputError(
            f"{file}: this is neither a PNG or JPEG image nor a V2 request in JSON; send one of these."
        )
    return data, content_type(data)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); check the path.") from None


class _UnixConnection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def _new_conn(self) -> socket.socket:
        timeout = self.timeout
        return connected(self._path, timeout if isinstance(timeout, (int, float)) else TIMEOUT_S)


class _UnixPool(HTTPConnectionPool):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def _new_conn(self) -> _UnixConnection:
        return _UnixConnection(self._path)


class _UnixAdapter(HTTPAdapter):
    """Sends every request to the Unix socket `path`."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._pool = _UnixPool(path)

    def get_connection_with_tls_context(self, *arguments: Any, **options: Any) -> HTTPConnectionPool:
        return self._pool

    def close(self) -> None:
        self._pool.close()
        super().close()
