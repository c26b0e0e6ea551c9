"""Packages out of a bundle on a host; that apt really installs them is tested on hosts of their own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

if not shutil.which("dpkg"):
    pytest.skip("this system has no dpkg", allow_module_level=True)

from edgeai_runtime.debian import find_lock, install, this_suite
from edgeai_runtime.errors import InputError, TrustError
from edgeai_runtime.trust.depots import Depots
from edgeai_runtime.trust.store import blob_name

ABSENT = "no-such-package-as-this"


@pytest.fixture
def offered(tmp_path: Path) -> Any:
    """Put a lock on a depot and return its digest and the depot's address."""

    def offer(suite: str, architecture: str) -> Any:
        lock = {"suite": suite, "architecture": architecture, "packages": ["nginx"], "files": [], "index": ""}
        data = json.dumps(lock).encode()
        digest = hashlib.sha256(data).hexdigest()
        path = tmp_path / "depot" / blob_name(digest)
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
        return digest, f"file://{tmp_path}/depot"

    return offer


def test_what_is_installed_needs_no_depot(tmp_path: Path) -> None:
    result = install(tmp_path, "0" * 64, Depots(["http://127.0.0.1:9"]), ["dpkg"])
    assert (result.changed, result.packages, result.actions) == (False, [], [])


def test_a_check_says_what_is_missing(tmp_path: Path) -> None:
    result = install(tmp_path, "0" * 64, Depots(["http://127.0.0.1:9"]), ["dpkg", ABSENT], check=True)
    assert (result.changed, result.packages) == (True, [ABSENT])
    assert result.actions == [f"would install {ABSENT} from the bundle"]


def test_the_lock_for_this_host_is_found_among_others(offered: Any) -> None:
    other, url = offered("potato", "m68k")
    mine, url = offered(*this_suite().split("-"))
    assert find_lock([other, mine], url, "nginx") == mine
    assert find_lock([other, mine], url, ABSENT) is None
    assert find_lock([other], url, "nginx") is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may install")
def test_who_is_not_root_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="takes root; become root"):
        install(tmp_path, "0" * 64, Depots(["http://127.0.0.1:9"]), [ABSENT])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gets as far")
class TestRoot:
    def test_gets_no_packages_of_another_suite(self, tmp_path: Path, offered: Any) -> None:
        digest, url = offered("potato", "m68k")
        with pytest.raises(InputError, match="the packages are for potato-m68k; build the bundle with"):
            install(tmp_path / "host", digest, Depots([url]), [ABSENT])
        assert not (tmp_path / "host").exists()

    def test_gets_nothing_from_a_tampered_lock(self, tmp_path: Path, offered: Any) -> None:
        digest, url = offered("potato", "m68k")
        (tmp_path / "depot" / blob_name(digest)).write_bytes(b"{}")
        with pytest.raises(TrustError, match="other content than was signed"):
            install(tmp_path / "host", digest, Depots([url]), [ABSENT])
