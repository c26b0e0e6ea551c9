"""The depot's certificate: what Python's own ssl accepts from it, and what it refuses."""

from __future__ import annotations

import http.server
import ssl
import stat
import threading
from pathlib import Path
from typing import Callable, Iterator

import pytest

pytest.importorskip("cryptography", reason="certificates need cryptography (the extra 'workstation')")

from edgeai_runtime.bundle.certificate import DepotCertificate, make_certificate
from edgeai_runtime.cli import main
from edgeai_runtime.errors import InputError, TransferError
from edgeai_runtime.trust import transfer

Serve = Callable[[DepotCertificate], int]


class _Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *arguments: object) -> None:
        """Nothing: a test's output is its own."""


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve "hello" over TLS on 127.0.0.1 with a certificate; returns the port."""
    servers = []

    def start(made: DepotCertificate) -> int:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hello)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that hung up
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made.certificate, made.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return int(server.server_address[1])

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def trust(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Trust one CA as a device does."""
    from edgeai_runtime.trust.authority import trust_depot

    def set_it(ca: str) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", "")  # so that both are put back at the end
        monkeypatch.setenv("SSL_CERT_DIR", "")
        trust_depot(Path(ca))

    return set_it


def test_a_device_with_the_ca_fetches_and_one_with_another_does_not(
    tmp_path: Path, serve: Serve, trust: Callable[[str], None]
) -> None:
    made = make_certificate(tmp_path / "keys", ["depot.factory", "127.0.0.1"])
    url = f"https://127.0.0.1:{serve(made)}/x"
    trust(made.ca)
    assert transfer.read(url, 100) == b"hello"
    trust(make_certificate(tmp_path / "others", ["127.0.0.1"]).ca)
    with pytest.raises(TransferError) as refused:
        transfer.read(url, 100)
    assert "certificate is not trusted here" in refused.value.message
    assert "runtime_depot_ca" in refused.value.message


def test_a_name_that_is_not_in_it_is_refused(
    tmp_path: Path, serve: Serve, trust: Callable[[str], None]
) -> None:
    made = make_certificate(tmp_path / "keys", ["depot.factory"])
    trust(made.ca)
    with pytest.raises(TransferError, match="by a name in its certificate"):
        transfer.read(f"https://127.0.0.1:{serve(made)}/x", 100)


def test_keys_are_for_their_owner_alone_and_made_once(tmp_path: Path) -> None:
    first = make_certificate(tmp_path / "keys", ["depot.factory"])
    keys = sorted((tmp_path / "keys/depot").glob("*.key"))
    assert [key.name for key in keys] == ["ca.key", "depot.factory.key"]
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    before = {path: path.read_bytes() for path in (tmp_path / "keys/depot").iterdir()}
    again = make_certificate(tmp_path / "keys", ["depot.factory"])
    assert (first.changed, again.changed, again.actions) == (True, False, [])
    assert {path: path.read_bytes() for path in (tmp_path / "keys/depot").iterdir()} == before


def test_another_name_gets_another_certificate_from_the_same_ca(tmp_path: Path) -> None:
    first = make_certificate(tmp_path / "keys", ["depot.factory"])
    ca = Path(first.ca).read_bytes()
    second = make_certificate(tmp_path / "keys", ["depot.factory", "192.0.2.2", "2001:db8::1"])
    assert second.changed
    assert Path(second.ca).read_bytes() == ca


def test_one_that_expires_soon_is_made_anew(tmp_path: Path) -> None:
    make_certificate(tmp_path / "keys", ["depot.factory"], days=29)
    assert make_certificate(tmp_path / "keys", ["depot.factory"]).changed


def test_a_check_makes_nothing(tmp_path: Path) -> None:
    asked = make_certificate(tmp_path / "keys", ["depot.factory"], check=True)
    assert asked.changed
    assert all(action.startswith("would make") for action in asked.actions)
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize("name", ["", "Depot", "a b", "-a", "*.factory", "../x", "a/b"])
def test_what_nobody_can_be_called_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="neither a host name"):
        make_certificate(tmp_path / "keys", [name])


def test_half_an_authority_is_refused(tmp_path: Path) -> None:
    made = make_certificate(tmp_path / "keys", ["depot.factory"])
    (tmp_path / "keys/depot/ca.key").unlink()
    with pytest.raises(InputError, match=r"ca\.key: this half"):
        make_certificate(tmp_path / "keys", ["other.factory"])
    assert Path(made.ca).is_file()


def test_the_command_prints_no_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bundle", "certificate", "--name", "depot.factory", "--keys", str(tmp_path / "keys")]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert "made the certificate" in said.out
    assert "PRIVATE" not in said.out + said.err


def test_a_ca_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["bundle", "show", "--depot", "https://d", "--root-json", str(tmp_path / "r")]
    assert main([*asked, "--ca", str(tmp_path / "ca.pem")]) == 1
    assert "ca.pem: there is no such file; name the CA" in capsys.readouterr().err
