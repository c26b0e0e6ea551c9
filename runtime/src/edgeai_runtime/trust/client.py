"""The depot through TUF: signed, fresh metadata that starts from the root pinned on the device.

python-tuf 5 (the last for Python 3.8) takes its trust anchor from a file, 7 wants it as an argument.
The library works in a scratch copy of the trusted metadata; what it accepted is then kept durably,
so that a power cut cannot make the device forget what it has seen and take something older.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import shutil
import tempfile
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Dict, Iterator, Optional, Tuple
from urllib.parse import quote

from tuf.api import exceptions

# The package names its exports in a way that a type checker does not follow.
from tuf.api.metadata import TargetFile  # type: ignore[attr-defined]
from tuf.ngclient.fetcher import FetcherInterface
from tuf.ngclient.updater import Updater

from edgeai_runtime.durable import write_atomic
from edgeai_runtime.errors import InputError, TrustError
from edgeai_runtime.trust import transfer
from edgeai_runtime.trust.known import memory_of


class _Fetcher(FetcherInterface):
    """Lets python-tuf download through our own transfer (file://, no proxies, no slow retrieval)."""

    @contextlib.contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        """At most `max_length` bytes: as many as were signed, else the library's limit for such a file."""
        try:
            content = transfer.read(url, limit=max_length)
        except transfer.NotThere as error:
            raise exceptions.DownloadHTTPError(str(error), 404) from None
        yield io.BytesIO(content)

    def _fetch(self, url: str) -> Iterator[bytes]:
        raise NotImplementedError("download_file() does it, which knows how long a file may be")


class Client:
    """What one repository says, verified. Made by `connect` and `open_repository`."""

    def __init__(self, updater: Updater, url: str, scratch: Path) -> None:
        self._updater = updater
        self._url = url
        self._scratch = scratch

    def target(self, name: str) -> Dict[str, Any]:
        """The {"sha256", "size"} of a target, e.g. "locks/supervisor.json".

        Raises TrustError when the bundle has no such target.
        """
        info = self._info(name)
        return {"sha256": info.hashes["sha256"], "size": info.length}

    def has(self, name: str) -> bool:
        """Whether the bundle has a target."""
        with _explained(self._url):
            return self._updater.get_targetinfo(name) is not None

    def read(self, name: str) -> bytes:
        """The content of a target; raises TrustError, TransferError."""
        info = self._info(name)
        with _explained(self._url):
            path = self._updater.download_target(info, str(self._scratch / "target"))
            return Path(path).read_bytes()

    def download(self, name: str, directory: Path) -> bool:
        """Bring a target to `directory`, under its name quoted for a URL; False when it was there already.

        Raises TrustError, TransferError.
        """
        path = directory / quote(name, safe="")
        if self._updater.find_cached_target(self._info(name), str(path)):
            return False
        write_atomic(path, self.read(name))
        return True

    def _info(self, name: str) -> TargetFile:
        with _explained(self._url):
            info = self._updater.get_targetinfo(name)
        if info is None:
            raise NotInBundle(f"{self._url}: the bundle has no {name}; build and deploy one that has it.")
        return info


class NotInBundle(TrustError):
    """The bundle is in order, and does not have what was asked for."""


@contextlib.contextmanager
def connect(
    depot_url: str,
    pinned_root: bytes,
    cache: Optional[Path] = None,
    keep: bool = True,
    now: Optional[datetime] = None,
) -> Iterator[Client]:
    """Refresh the depot's metadata from `pinned_root` and what the directory `cache` remembers.

    One pinned root's memory never mixes with another's. `keep=False` leaves it as it is; without a
    `cache` nothing is remembered. Expiry is judged by `now`, else by the system's clock. Raises
    TrustError (wrong root, expired, older than seen, tampered) and TransferError.
    """
    depot_url = depot_url.rstrip("/")
    memory = memory_of(cache, pinned_root) if cache else None
    urls = (f"{depot_url}/metadata/", f"{depot_url}/targets/")
    with open_repository(depot_url, urls, pinned_root, memory, keep, now) as client:
        yield client


@contextlib.contextmanager
def open_repository(
    name: str,
    urls: Tuple[str, str],
    pinned_root: bytes,
    memory: Optional[Path],
    keep: bool = True,
    now: Optional[datetime] = None,
) -> Iterator[Client]:
    """Refresh from `memory`, or where it is empty from `pinned_root`; `urls` of metadata and of targets.

    `name` stands in what is said of the repository. Raises TrustError, TransferError.
    """
    with tempfile.TemporaryDirectory(prefix="edgeai-trust-") as directory:
        scratch = Path(directory)
        metadata = scratch / "metadata"
        metadata.mkdir()
        for kept in memory.glob("*.json") if memory else ():
            shutil.copyfile(kept, metadata / kept.name)
        try:
            with _explained(name):
                updater = _updater(metadata, urls, pinned_root)
                if now is not None:
                    # The library has no argument for it, and reads the clock into this on creation.
                    updater._trusted_set.reference_time = now
                updater.refresh()
            yield Client(updater, name, scratch)
        finally:
            if memory and keep:
                _remember(metadata, memory)


def _updater(metadata: Path, urls: Tuple[str, str], pinned_root: bytes) -> Updater:
    """Begins with the root that is remembered, or, where the disk spoilt that, with the pinned one again."""
    anchor = metadata / "root.json"
    if anchor.exists():
        with contextlib.suppress(exceptions.RepositoryError):
            return _updater_from(anchor, urls)
    anchor.write_bytes(pinned_root)
    return _updater_from(anchor, urls)


def _updater_from(anchor: Path, urls: Tuple[str, str]) -> Updater:
    options: Dict[str, Any] = {}
    if "bootstrap" in inspect.signature(Updater.__init__).parameters:
        options["bootstrap"] = anchor.read_bytes()
    return Updater(str(anchor.parent), urls[0], target_base_url=urls[1], fetcher=_Fetcher(), **options)


def _remember(metadata: Path, memory: Path) -> None:
    """Keep what the library accepted; the library writes only verified files."""
    for accepted in metadata.glob("*.json"):
        data = accepted.read_bytes()
        kept = memory / accepted.name
        if not kept.is_file() or kept.read_bytes() != data:
            write_atomic(kept, data)


@contextlib.contextmanager
def _explained(depot_url: str) -> Iterator[None]:
    """Turn the library's errors into a sentence that says what to do."""
    try:
        yield
    except exceptions.ExpiredMetadataError as error:
        raise TrustError(
            f"{depot_url}: the bundle has expired ({error}); what serves goes on serving, but only a fresh "
            "bundle is taken: build one on the workstation and deploy it."
        ) from None
    except exceptions.BadVersionNumberError as error:
        raise TrustError(
            f"{depot_url}: the bundle is older than one this device has seen, or put together from several "
            f"({error}); deploy the newest one, whole."
        ) from None
    except exceptions.UnsignedMetadataError as error:
        raise TrustError(
            f"{depot_url}: the bundle is not signed by the keys this device trusts ({error}); build it with "
            "the keys the device was provisioned with, or provision the device with the new root."
        ) from None
    except exceptions.DownloadHTTPError as error:
        raise transfer.NotThere(str(error)) from None
    except exceptions.DownloadError as error:
        raise TrustError(
            f"{depot_url}: the depot sends something else than was signed ({error}); "
            "copy the bundle to it again."
        ) from None
    except exceptions.RepositoryError as error:
        raise TrustError(
            f"{depot_url}: the bundle's metadata is not in order ({error}); "
            "copy the bundle to the depot again."
        ) from None


def read_pinned_root(path: Path) -> bytes:
    """The root metadata a device was provisioned with; raises InputError when it is not there."""
    try:
        return path.read_bytes()
    except OSError:
        raise InputError(
            f"{path}: the pinned root is missing; "
            "provision this device with the bundle's metadata/1.root.json."
        ) from None
