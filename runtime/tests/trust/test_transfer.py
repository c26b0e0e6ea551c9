"""Downloads: resumed where they stopped, proved by digest, refused in one sentence."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path
from typing import Any, Callable, List, NamedTuple

import pytest

from edgeai_runtime.errors import EdgeAIError, InputError, StorageError, TransferError, TrustError
from edgeai_runtime.trust import transfer

CONTENT = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Download(NamedTuple):
    partial: Path
    destination: Path

    def run(self, url: str, sha256: str = DIGEST, size: int = len(CONTENT)) -> int:
        return transfer.fetch(url, self.partial, self.destination, sha256, size)

    def refused(self, url: str, kind: Any, **signed: Any) -> str:
        with pytest.raises(kind) as caught:
            self.run(url, **signed)
        assert "\n" not in caught.value.message
        assert not self.destination.exists()
        return str(caught.value.message)


@pytest.fixture
def download(tmp_path: Path) -> Download:
    return Download(tmp_path / "store" / "partial" / "x", tmp_path / "store" / "sha256" / "x")


@pytest.fixture
def depot(tmp_path: Path, serve: Callable[[Path], Any]) -> Any:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "blob").write_bytes(CONTENT)
    return serve(tmp_path / "bundle")


def test_a_file_comes_over_http(depot: Any, download: Download) -> None:
    assert download.run(f"{depot.url}/blob") == len(CONTENT)
    assert download.destination.read_bytes() == CONTENT
    assert not download.partial.exists()


def test_a_file_comes_from_a_directory(depot: Any, download: Download) -> None:
    assert download.run(f"file://{depot.directory}/blob") == len(CONTENT)
    assert download.destination.read_bytes() == CONTENT


@pytest.mark.parametrize("over", ["http", "file"])
def test_a_second_attempt_takes_only_the_rest(depot: Any, download: Download, over: str) -> None:
    download.partial.parent.mkdir(parents=True)
    download.partial.write_bytes(CONTENT[:1_000_000])
    url = f"{depot.url}/blob" if over == "http" else f"file://{depot.directory}/blob"
    assert download.run(url) == len(CONTENT) - 1_000_000
    assert download.destination.read_bytes() == CONTENT


def test_a_broken_connection_is_taken_up_where_it_broke(depot: Any, download: Download) -> None:
    depot.break_off_after = [30_000, 20_000]
    assert download.run(f"{depot.url}/blob") == len(CONTENT)
    assert depot.ranges_of("/blob")[:3] == ["bytes=0-65535", "bytes=30000-95535", "bytes=50000-115535"]
    assert depot.sent == len(CONTENT)
    assert download.destination.read_bytes() == CONTENT


def test_a_connection_that_keeps_breaking_is_reported_and_its_part_kept(
    depot: Any, download: Download
) -> None:
    depot.break_off_after = [100, 100, 100]
    message = download.refused(f"{depot.url}/blob", TransferError)
    assert f"broke off 3 times, after 300 of {len(CONTENT)} bytes" in message
    assert download.run(f"{depot.url}/blob") == len(CONTENT) - 300


def test_no_more_than_a_chunk_is_asked_for_at_once(depot: Any, download: Download) -> None:
    download.run(f"{depot.url}/blob")
    for asked in depot.ranges_of("/blob"):
        first, last = map(int, asked[len("bytes=") :].split("-"))
        assert last - first < transfer.CHUNK


def test_one_connection_serves_for_all_that_is_asked_of_a_depot(depot: Any, download: Download) -> None:
    for _turn in range(2):
        download.run(f"{depot.url}/blob")
        download.destination.unlink()
    assert len(depot.requests) > 20
    assert depot.connections == 1


def test_a_depot_that_hung_up_meanwhile_is_connected_to_again(depot: Any, download: Download) -> None:
    transfer.read(f"{depot.url}/blob", len(CONTENT))
    depot.hang_up()
    assert download.run(f"{depot.url}/blob") == len(CONTENT)


def test_each_piece_is_told_of_as_it_comes(depot: Any, download: Download) -> None:
    pieces: List[int] = []
    transfer.fetch(
        f"{depot.url}/blob", download.partial, download.destination, DIGEST, len(CONTENT), pieces.append
    )
    assert sum(pieces) == len(CONTENT)
    assert len(pieces) > 1


class PowerCut(Exception):
    """Nothing that the machine does comes after it."""


def test_a_power_cut_costs_no_more_than_what_is_not_yet_durable(
    depot: Any, download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not synced is gone, as it may be on a disk; cut where that is most."""
    content = CONTENT * 10
    (depot.directory / "blob").write_bytes(content)
    signed = (hashlib.sha256(content).hexdigest(), len(content))
    fsync, durable, came = os.fsync, [0], [0]

    def sync(descriptor: int) -> None:
        fsync(descriptor)
        durable.append(os.fstat(descriptor).st_size)

    def receive(count: int) -> None:
        came[0] += count
        if came[0] >= 2 * transfer.DURABLE_EVERY - transfer.CHUNK:
            raise PowerCut

    monkeypatch.setattr(transfer.os, "fsync", sync)
    with pytest.raises(PowerCut):
        transfer.fetch(f"{depot.url}/blob", download.partial, download.destination, *signed, receive)
    assert durable[1:] == [transfer.DURABLE_EVERY]
    os.truncate(download.partial, durable[-1])
    download.run(f"{depot.url}/blob", *signed)
    assert download.destination.read_bytes() == content
    assert depot.ranges_of("/blob").count("bytes=0-65535") == 1
    assert len(content) < depot.sent <= len(content) + 4 * 2**20


def test_a_depot_without_ranges_sends_all_again(depot: Any, download: Download) -> None:
    depot.ranges = False
    depot.break_off_after = [30_000]
    download.run(f"{depot.url}/blob")
    assert download.destination.read_bytes() == CONTENT


def test_a_spoilt_part_is_thrown_away_once(depot: Any, download: Download) -> None:
    download.partial.parent.mkdir(parents=True)
    download.partial.write_bytes(b"\0" * 1000)  # what a power cut leaves of unwritten pages
    download.run(f"{depot.url}/blob")
    assert depot.ranges_of("/blob")[0] == "bytes=1000-66535"
    assert depot.ranges_of("/blob").count("bytes=0-65535") == 1
    assert download.destination.read_bytes() == CONTENT


def test_a_part_that_is_too_long_is_thrown_away(depot: Any, download: Download) -> None:
    download.partial.parent.mkdir(parents=True)
    download.partial.write_bytes(CONTENT + b"more")
    assert download.run(f"{depot.url}/blob") == len(CONTENT)
    assert download.destination.read_bytes() == CONTENT


def test_other_content_of_the_right_size_is_refused_and_not_kept(depot: Any, download: Download) -> None:
    (depot.directory / "blob").write_bytes(b"!" + CONTENT[1:])
    message = download.refused(f"{depot.url}/blob", TrustError)
    assert message.startswith(f"{depot.url}/blob: the content is not what was signed")
    assert not download.partial.exists()


@pytest.mark.parametrize("part", [0, 600_000])
def test_a_truncated_file_is_refused_with_both_sizes(depot: Any, download: Download, part: int) -> None:
    (depot.directory / "blob").write_bytes(CONTENT[:500_000])
    download.partial.parent.mkdir(parents=True)
    download.partial.write_bytes(CONTENT[:part])
    message = download.refused(f"{depot.url}/blob", TrustError)
    assert f"the depot's file has 500000 bytes, signed are {len(CONTENT)}" in message


def test_a_file_the_depot_does_not_have_is_named(depot: Any, download: Download) -> None:
    for url in (f"{depot.url}/nothing", f"file://{depot.directory}/nothing", f"file://{depot.directory}"):
        assert "the depot does not have this file" in download.refused(url, transfer.NotThere)


def test_an_unreachable_depot_is_named(download: Download) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/blob"
        message = download.refused(url, TransferError)
    assert message.startswith(f"{url}: the depot cannot be reached (")
    assert "Connection refused" in message


@pytest.mark.parametrize("url", ["ftp://depot/blob", "/var/bundle", "depot:9000", "http://"])
def test_what_is_no_depot_url_is_refused(download: Download, url: str) -> None:
    assert "is no depot URL; expected http://host:port" in download.refused(url, InputError)


def test_a_proxy_of_the_environment_is_not_used(
    depot: Any, download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert download.run(f"{depot.url}/blob") == len(CONTENT)


def test_a_small_file_is_read_up_to_its_limit(depot: Any) -> None:
    assert transfer.read(f"{depot.url}/blob", len(CONTENT)) == CONTENT
    with pytest.raises(TransferError, match="sends more than 1000 bytes"):
        transfer.read(f"{depot.url}/blob", 1000)
    depot.break_off_after = [10, 10, 10]
    with pytest.raises(EdgeAIError, match="broke off 3 times"):
        transfer.read(f"{depot.url}/blob", len(CONTENT))


def test_a_full_disk_is_one_sentence(depot: Any, download: Download) -> None:
    download.destination.parent.parent.mkdir(parents=True)
    download.destination.parent.write_text("a file where a directory should be")
    message = download.refused(f"{depot.url}/blob", StorageError)
    assert "cannot be written" in message
