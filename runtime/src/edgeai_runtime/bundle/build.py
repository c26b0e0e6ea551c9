"""Build a bundle: wheels per target, the runtime's own wheel, releases; packed, then signed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import MappingProxyType
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from edgeai_runtime import __version__
from edgeai_runtime.authoring.check import read
from edgeai_runtime.bundle.conversions import read_conversions
from edgeai_runtime.bundle.debian import DebianCache
from edgeai_runtime.bundle.keys import Passphrase
from edgeai_runtime.bundle.layout import is_whole, place, sweep
from edgeai_runtime.bundle.offers import FILE as OFFERS
from edgeai_runtime.bundle.offers import write_offers
from edgeai_runtime.bundle.own_wheels import find_own_wheels
from edgeai_runtime.bundle.revocation import read_revoked, refuse_revoked
from edgeai_runtime.bundle.signing import has_newest_root, sign, signed_targets
from edgeai_runtime.bundle.starter import Starter
from edgeai_runtime.bundle.targets import Target, find_controller, find_target
from edgeai_runtime.bundle.trust_root import open_keys, read_roots
from edgeai_runtime.bundle.wheels import WheelCache
from edgeai_runtime.errors import InputError
from edgeai_runtime.release import Content, Release, content_size

SCHEMA = 1
# The time for all; for the depot a web server, and what keeps its log small; for a controller its way to
# the devices.
DEBIAN_PACKAGES = ("chrony", "logrotate", "nginx", "openssh-client")

Progress = Callable[[str], None]


@dataclass(frozen=True)
class BundleResult:
    """`expires` is ISO-8601 UTC; `releases` maps names to versions; `size` of all blobs in bytes.

    `controller_command` sets a bare controller up when it is typed in the bundle's directory there.
    """

    path: str
    root_json: str
    expires: str
    targets: List[str]
    releases: Dict[str, List[str]]
    size: int
    controllers: List[str]
    controller_command: Optional[str]
    changed: bool
    actions: List[str]


def build(
    output: Path,
    keys_dir: Path,
    cache_dir: Path,
    runtime_dir: Path,
    targets: Sequence[str],
    release_dirs: Sequence[Path],
    expires_days: int,
    debian: Sequence[str] = (),
    debian_packages: Sequence[str] = DEBIAN_PACKAGES,
    debian_sources: Optional[Path] = None,
    debian_refresh: bool = False,
    own_wheels: Mapping[str, Path] = MappingProxyType({}),
    controllers: Sequence[str] = (),
    conversions: Optional[Path] = None,
    passphrase: Optional[Passphrase] = None,
    check: bool = False,
    progress: Progress = lambda sentence: None,
) -> BundleResult:
    """Make `output` hold exactly these targets and releases, signed for `expires_days`.

    `conversions`: the directory of what devices converted and others of the same fingerprint may take.
    `own_wheels` names for a target the directory of wheels that the user brings for it.
    For each suite in `debian` ("bookworm-arm64") come `debian_packages` with what they need, out of
    `debian_sources` or this machine's own package sources; as the cache has them, unless
    `debian_refresh` asks for what is newest. For each of `controllers` ("x86_64-cp311") come Ansible, the
    collection around `runtime_dir` and the runtime, and what sets a bare controller up with them.

    The same again, while at least half of its time is left, changes nothing. `check` predicts; it
    may fill the download cache. Raises InputError, among others for a version that is in the bundle
    with other content, and TransferError.
    """
    if not 1 <= expires_days <= 3650:
        raise InputError(
            f"A bundle may be good for 1 to 3650 days, not {expires_days}; correct expires_days."
        )
    found, blobs = _read_releases(release_dirs, progress)
    releases, contents = _versions(found.values()), {target: one.to_json() for target, one in found.items()}
    revoked = read_revoked(keys_dir)
    refuse_revoked(revoked, releases)
    shared, files = read_conversions(conversions, {one.model.sha256 for one in found.values()}, progress)
    contents.update(shared)
    blobs.update(files)
    if revoked:
        contents["revoked.json"] = json.dumps(revoked, sort_keys=True).encode() + b"\n"
    signed = signed_targets(output / "metadata")
    _refuse_changed_versions(output, signed, contents)
    cache = WheelCache(cache_dir, progress)
    locks_dir = runtime_dir / "locks"
    chosen = [find_target(name, locks_dir, name in own_wheels) for name in sorted(set(targets))]
    chosen_controllers = [find_controller(name, locks_dir) for name in sorted(set(controllers))]
    own = _find_own_wheels(own_wheels, chosen)
    wheel = cache.runtime_wheel(runtime_dir)
    locks = [cache.lock(target, [wheel], locks_dir, own.get(target.name, ())) for target in chosen]
    locks.append(cache.supervisor_lock(locks_dir))
    ours = [wheel, cache.collection_wheel(runtime_dir.absolute().parent)] if chosen_controllers else []
    for_controllers = [cache.lock(target, ours, locks_dir) for target in chosen_controllers]
    locks += for_controllers
    contents.update({f"locks/{lock.name}.json": lock.to_json() for lock in locks})
    blobs.update(cache.files)
    suites = DebianCache(cache_dir, progress, debian_sources)
    for name in sorted(set(debian)):
        contents[f"debian/{name}.json"] = suites.lock(name, debian_packages, debian_refresh)
    blobs.update(suites.files)
    debian_digests = [sha256 for name, sha256 in _digests(contents).items() if name.startswith("debian/")]
    starter = Starter(output, cache.files[wheel.sha256], for_controllers, debian_digests)
    about = {
        "schema": SCHEMA,
        "runtime_version": __version__,
        "runtime_wheel": vars(wheel),
        "targets": [target.name for target in chosen],
        "releases": releases,
        "debian": sorted(set(debian)),
        "controllers": sorted(set(controllers)),
    }
    now = datetime.now(timezone.utc).replace(microsecond=0)
    life = timedelta(days=expires_days)
    expires = now + life
    old = _old_about(output, signed)
    changed = (
        _digests(contents) != {name: digest for name, digest in signed.items() if name != "bundle.json"}
        or {key: value for key, value in old.items() if key not in ("created", "expires")} != about
        or not life / 2 <= datetime.fromisoformat(old["expires"]) - now <= life
        or not is_whole(output, contents, blobs)
        or not starter.is_right()
        or not (output / OFFERS).is_file()
        or not has_newest_root(output / "metadata", read_roots(keys_dir))
    )
    if not changed:
        expires = datetime.fromisoformat(old["expires"])
    elif not check:
        keys = open_keys(keys_dir, output, passphrase)
        times = {"created": now.isoformat(), "expires": expires.isoformat()}
        contents["bundle.json"] = json.dumps({**about, **times}, sort_keys=True).encode() + b"\n"
        progress(f"placing {len(blobs)} files and signing")
        place(output, contents, blobs)
        sign(output / "metadata", keys, contents, now, expires)
        sweep(output, contents, blobs)
        starter.write()
        write_offers(output, {**about, **times}, contents)
    count = sum(map(len, releases.values()))
    parts = f"{len(chosen)} targets and {count} releases"
    if shared:
        parts = f"{len(chosen)} targets, {count} releases and {len(shared)} conversions"
    said = f"a bundle of {parts}, good until {expires:%Y-%m-%d}"
    return BundleResult(
        path=str(output),
        root_json=str(output / "metadata" / "1.root.json"),
        expires=expires.isoformat(),
        targets=[target.name for target in chosen],
        releases=releases,
        size=sum(map(content_size, blobs.values())),
        controllers=sorted(set(controllers)),
        controller_command=None if changed and check else starter.command,
        changed=changed,
        actions=[f"{'would sign' if check else 'signed'} {said}"] if changed else [],
    )


def _find_own_wheels(directories: Mapping[str, Path], targets: Sequence[Target]) -> Dict[str, List[Path]]:
    """The user's wheels by target."""
    by_name = {target.name: target for target in targets}
    for name in directories:
        if name not in by_name:
            raise InputError(
                f"Wheels are given for {name}, and the targets are {', '.join(sorted(by_name))}; add it to "
                "the targets, or correct the name."
            )
    return {name: find_own_wheels(path, by_name[name]) for name, path in directories.items()}


def _read_releases(
    directories: Sequence[Path], progress: Progress
) -> Tuple[Dict[str, Release], Dict[str, Content]]:
    """Releases by the TUF target of their manifests, contents of blobs by sha256."""
    releases: Dict[str, Release] = {}
    contents: Dict[str, Content] = {}
    for directory in directories:
        release, sources = read(directory)
        target = f"releases/{release.name}/{release.version}.json"
        if releases.get(target, release).to_json() != release.to_json():
            raise InputError(
                f"{directory}: {release.name} {release.version} is given twice with different content; "
                "give one of them a new version."
            )
        releases[target] = release
        contents.update(sources)
        progress(f"read {release.name} {release.version}")
    return releases, contents


def _versions(releases: Iterable[Release]) -> Dict[str, List[str]]:
    """The versions of each name, both sorted."""
    versions: Dict[str, List[str]] = {}
    for release in sorted(releases, key=lambda one: (one.name, one.version)):
        versions.setdefault(release.name, []).append(release.version)
    return versions


def _refuse_changed_versions(output: Path, signed: Mapping[str, str], manifests: Mapping[str, bytes]) -> None:
    for target, digest in sorted(_digests(manifests).items()):
        if target.startswith("releases/") and signed.get(target, digest) != digest:
            release, version = target[len("releases/") : -len(".json")].split("/")
            raise InputError(
                f"{release} {version} is in {output} with other content; a version never changes, "
                "so give the new content a new version."
            )


def _digests(contents: Mapping[str, bytes]) -> Dict[str, str]:
    return {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}


def _old_about(output: Path, signed: Mapping[str, str]) -> Dict[str, Any]:
    """bundle.json of the bundle as it is, one that has long expired when there is none."""
    path = output / "targets" / f"{signed.get('bundle.json')}.bundle.json"
    if not path.is_file():
        return {"expires": "2000-01-01T00:00:00+00:00"}
    about: Dict[str, Any] = json.loads(path.read_bytes())
    return about
