"""Debian packages in a bundle: chosen by real apt out of a repository that the test makes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Dict, List

import pytest

if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
    pytest.skip("collecting Debian packages needs apt and dpkg", allow_module_level=True)

from mirror import Mirror

from edgeai_runtime.bundle.debian import DebianCache
from edgeai_runtime.errors import InputError, TransferError
from edgeai_runtime.release import file_sha256


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    mirror = Mirror(tmp_path / "mirror")
    mirror.add("nginx", "2:1.26-1", Depends="nginx-common, libc6 (>= 1.0)", Recommends="much")
    mirror.add("nginx-common", "2:1.26-1")
    mirror.add("much")
    return mirror


@pytest.fixture
def cache(tmp_path: Path, mirror: Mirror) -> DebianCache:
    return DebianCache(tmp_path / "cache", lambda sentence: None, mirror.sources)


def collected(cache: DebianCache, *packages: str, **options: Any) -> Dict[str, Any]:
    lock: Dict[str, Any] = json.loads(cache.lock("bookworm-arm64", packages, **options))
    return lock


def names(lock: Dict[str, Any]) -> List[str]:
    return [file["filename"] for file in lock["files"]]


def test_a_package_comes_with_what_it_needs_and_a_host_lacks(cache: DebianCache) -> None:
    lock = collected(cache, "nginx")
    assert names(lock) == ["nginx-common_2-1.26-1_arm64.deb", "nginx_2-1.26-1_arm64.deb"]
    assert (lock["suite"], lock["architecture"], lock["packages"]) == ("bookworm", "arm64", ["nginx"])
    for file in lock["files"]:
        assert file_sha256(cache.files[file["sha256"]]) == file["sha256"]
        assert (
            f"Filename: ./{file['filename']}\nSize: {file['size']}\nSHA256: {file['sha256']}" in lock["index"]
        )


def test_the_same_again_comes_from_the_cache_until_what_is_newest_is_asked_for(
    cache: DebianCache, mirror: Mirror
) -> None:
    first = collected(cache, "nginx")
    mirror.add("nginx", "2:1.27-1", Depends="nginx-common")
    assert collected(cache, "nginx") == first
    assert "nginx_2-1.27-1_arm64.deb" in names(collected(cache, "nginx", refresh=True))


def test_a_damaged_cache_is_filled_anew(cache: DebianCache) -> None:
    first = collected(cache, "nginx")
    next(iter(cache.files.values())).write_bytes(b"damaged")
    assert collected(cache, "nginx") == first


def test_a_package_the_suite_lacks_is_named(cache: DebianCache) -> None:
    with pytest.raises(TransferError, match="Unable to locate package ngink") as caught:
        collected(cache, "ngink")
    assert "check the names" in caught.value.message


def test_a_suite_that_is_none_is_refused(cache: DebianCache) -> None:
    with pytest.raises(InputError, match="'bookworm' names no suite of Debian packages"):
        cache.lock("bookworm", ["nginx"])


def test_sources_that_are_not_there_are_named(tmp_path: Path) -> None:
    cache = DebianCache(tmp_path, lambda sentence: None, tmp_path / "nowhere.list")
    with pytest.raises(InputError, match=r"nowhere\.list: the package sources cannot be read"):
        collected(cache, "nginx")
