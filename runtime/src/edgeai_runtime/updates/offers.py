"""What the signed metadata of the depot offers that is newer than what is confirmed on this device."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Dict, Iterable, Iterator, List, Optional, Tuple

from edgeai_runtime.environments.lock import Lock
from edgeai_runtime.errors import InputError
from edgeai_runtime.generations.manifest import Manifest, is_whole, load_manifest
from edgeai_runtime.generations.state import State, read_state
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Blob, Release
from edgeai_runtime.release.versions import version_key
from edgeai_runtime.settings import Device
from edgeai_runtime.trust import store
from edgeai_runtime.trust.client import Client, NotInBundle, read_pinned_root
from edgeai_runtime.trust.clock import believed_time
from edgeai_runtime.trust.depots import Depots


@dataclass(frozen=True)
class Offer:
    """A newer environment (by the name of its lock) or release than the `confirmed` one.

    `digest` is the lock's or the manifest's, `size` the bytes that are still to be fetched. `held` says
    why the device does not try it again by itself, empty when it does.
    """

    kind: str
    name: str
    confirmed: str
    offered: str
    digest: str
    size: int
    held: str = ""

    @property
    def what(self) -> str:
        return f"{'environment ' if self.kind == 'environment' else ''}{self.name} {self.offered}"


@dataclass(frozen=True)
class Offers:
    """The environment first: newer releases may need it. `depot` is who answered; `expires` ISO-8601."""

    updates: Tuple[Offer, ...]
    depot: str
    expires: str
    changed: bool = False
    actions: Tuple[str, ...] = ()


def check_updates(paths: Paths, device: Device, keep: bool = True) -> Offers:
    """Ask the depots; nothing but the memory of their metadata is written, and without `keep` not that.

    Models that are not on the device are nobody's update: a rollout brings them.
    Raises InputError on a device without a confirmed generation, TrustError, TransferError.
    """
    state = read_state(paths)
    if state.confirmed is None:
        raise InputError(f"{device.name}: nothing is confirmed on this device yet; provision it first.")
    confirmed = load_manifest(paths, state.confirmed)
    depots = Depots([device.depot_url, *device.depot_mirrors])
    now = believed_time(paths).now
    with depots.connect(read_pinned_root(paths.root_json), paths.trust, keep, now) as (url, bundle):
        about = json.loads(bundle.read("bundle.json"))
        updates = [*_environment(paths, confirmed, bundle)]
        for name, entry in confirmed.models.items():
            versions = about["releases"].get(name, [])
            release = _newest(bundle, name, versions, device.device_class)
            if release and version_key(release.version) > version_key(entry.version):
                held = _taken_back(paths, state, name, release.digest)
                size = _missing(paths, release.blobs)
                updates.append(
                    Offer("release", name, entry.version, release.version, release.digest, size, held)
                )
    actions = tuple(
        f"{offer.what} is newer than {offer.confirmed}, {offer.size / 1e6:.1f} MB to fetch{_but(offer)}"
        for offer in updates
    )
    return Offers(tuple(updates), url, about.get("expires", ""), actions=actions or ("nothing is newer",))


def _but(offer: Offer) -> str:
    return f", but {offer.held}" if offer.held else ""


def _environment(paths: Paths, confirmed: Manifest, bundle: Client) -> Iterator[Offer]:
    path = paths.environment(confirmed.environment) / "lock.json"
    if not path.is_file():
        return
    name = Lock.from_json(path.read_bytes(), str(path)).name
    try:
        data = bundle.read(f"locks/{name}.json")
    except NotInBundle:  # a bundle for other devices, or without wheels
        return
    lock = Lock.from_json(data, f"locks/{name}.json")
    if lock.digest != confirmed.environment:
        wheels = [Blob(wheel.sha256, wheel.size) for wheel in (lock.installer, *lock.wheels)]
        before, after = confirmed.environment[:12], lock.digest[:12]
        yield Offer("environment", name, before, after, lock.digest, _missing(paths, wheels))


def _newest(bundle: Client, name: str, versions: List[str], device_class: str) -> Optional[Release]:
    """The newest of the versions that has a recipe for the device's class."""
    for version in sorted(versions, key=version_key, reverse=True):
        target = f"releases/{name}/{version}.json"
        release = Release.from_json(bundle.read(target), target)
        if device_class in release.recipes:
            return release
    return None


def _missing(paths: Paths, blobs: Iterable[Blob]) -> int:
    return sum(blob.size for blob in blobs if not store.has_blob(paths, blob.sha256, blob.size))


def _taken_back(paths: Paths, state: State, name: str, digest: str) -> str:
    """Why the device took this very release back when it was tried last; empty when it did not."""
    last: Dict[int, Tuple[str, str]] = {
        entry["generation"]: (entry["outcome"], entry["reason"]) for entry in state.history
    }
    for generation, (outcome, reason) in sorted(last.items(), reverse=True):
        if outcome == "confirmed" or not is_whole(paths.generation(generation)):
            continue
        entry = load_manifest(paths, generation).models.get(name)
        if entry is not None and entry.release == digest:
            return f"it was taken back here in generation {generation}: {reason}"
    return ""
