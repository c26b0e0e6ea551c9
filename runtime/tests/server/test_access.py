"""Tokens and TLS: what clients from elsewhere need, and programs on the machine do not."""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import socket
import ssl
from pathlib import Path
from typing import Any, Callable, Dict, Iterator

import pytest
import toys
from by_hand import ByHand
from serving_process import BOUND_S, serving

from edgeai_runtime.errors import InputError
from edgeai_runtime.server.access import open_access

TOKEN = "0123456789abcdef-of-the-line"
ADD = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    return write(tmp_path / "tokens", f"# the line's\n{TOKEN}\n\nanother-one-for-the-robot\n")


def ask(connection: http.client.HTTPConnection, method: str, path: str, token: str = "") -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connection.request(method, path, json.dumps(ADD) if "infer" in path else None, headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], ByHand]]:
    """Serve the adder by settings of the table [serve]."""
    (tmp_path / "adder.onnx").write_bytes(toys.add_one())
    with contextlib.ExitStack() as running:

        def start(settings: str) -> ByHand:
            config = write(tmp_path / "settings.toml", f"schema = 1\n[serve]\n{settings}")
            words = ["adder.onnx", "--uds", "here.sock", "--config", str(config)]
            started = ByHand(tmp_path, *words)
            running.callback(started.close)
            return started

        yield start


@pytest.fixture
def guarded(start: Callable[[str], ByHand], tokens: Path) -> ByHand:
    return start(f'tokens = "{tokens}"\n')


def test_alarms_are_shown_to_all_and_acknowledged_by_whoever_may(guarded: ByHand, tmp_path: Path) -> None:
    remote, local = guarded.connect(), guarded.connect(tmp_path / "here.sock")
    assert ask(remote, "GET", "/v2/alarms", TOKEN) == 200
    for connection, token in ((remote, TOKEN), (local, "")):  # there is none of that name
        assert ask(connection, "POST", "/v2/alarms/disk/acknowledge", token) == 400
    assert ask(remote, "POST", "/v2/alarms/disk/acknowledge") == 401
    remote.close()
    local.close()


def test_an_alarm_is_acknowledged_by_name(start: Callable[[str], ByHand], tmp_path: Path) -> None:
    by_hand = start('[alarms.always]\nreading = "disk_free_mb"\nabove = 0\nclear = 0\n')
    local = by_hand.connect(tmp_path / "here.sock")

    def standing() -> Dict[str, Any]:
        local.request("GET", "/v2/alarms")
        alarms: Dict[str, Any] = json.loads(local.getresponse().read())["standing"]
        return alarms

    while "always" not in standing():
        pass
    local.request("POST", "/v2/alarms/always/acknowledge", json.dumps({"by": "anna"}))
    assert local.getresponse().read() == b""
    assert standing()["always"]["acknowledged"] == "anna"
    local.close()


class TestTokens:
    def test_are_asked_of_clients_from_elsewhere(self, guarded: ByHand) -> None:
        remote = guarded.connect()
        for path in ("/v2", "/v2/models/adder", "/metrics", "/v2/health", "/nowhere"):
            assert ask(remote, "GET", path) == 401
        for wrong in ("wrong", TOKEN[:-1], TOKEN + "x", "ä"):
            assert ask(remote, "POST", "/v2/models/adder/infer", wrong) == 401
        for good in (TOKEN, "another-one-for-the-robot"):
            assert ask(remote, "POST", "/v2/models/adder/infer", good) == 200
        remote.close()

    def test_one_that_was_good_opens_nothing_for_the_next_request(self, guarded: ByHand) -> None:
        remote = guarded.connect()
        statuses = [ask(remote, "GET", "/v2", token) for token in (TOKEN, TOKEN, "", TOKEN, "wrong")]
        assert statuses == [200, 200, 401, 200, 401]
        remote.close()

    def test_who_asks_whether_it_lives_needs_none(self, guarded: ByHand) -> None:
        remote = guarded.connect()
        assert [ask(remote, "GET", f"/v2/health/{word}") for word in ("live", "ready")] == [200, 200]
        remote.close()

    def test_programs_on_the_machine_need_none(self, guarded: ByHand, tmp_path: Path) -> None:
        local = guarded.connect(tmp_path / "here.sock")
        assert ask(local, "POST", "/v2/models/adder/infer") == 200
        local.close()

    def test_let_models_be_loaded_from_elsewhere(self, guarded: ByHand) -> None:
        remote = guarded.connect()
        assert ask(remote, "POST", "/v2/repository/models/adder/unload", TOKEN) == 200
        assert ask(remote, "POST", "/v2/models/adder/infer", TOKEN) == 404
        assert ask(remote, "POST", "/v2/repository/models/adder/load", TOKEN) == 200
        assert ask(remote, "POST", "/v2/models/adder/infer", TOKEN) == 200
        remote.close()


@pytest.mark.parametrize(
    ("text", "mode", "sentence"),
    [
        (f"{TOKEN}\n", 0o640, "others may read it; type: chmod 600"),
        ("# none\n", 0o600, "there is no token in it"),
        (f"{TOKEN}\nshort\n", 0o600, "token 2 is shorter than 16 characters"),
        ("sixteen characters\n", 0o600, "token 1 is shorter than 16 characters, or has some"),
    ],
)
def test_a_file_of_tokens_that_is_not_in_order_is_refused_and_not_shown(
    tmp_path: Path, text: str, mode: int, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence) as refused:
        open_access(write(tmp_path / "tokens", text, mode))
    assert TOKEN not in str(refused.value)


def test_a_device_asks_for_its_tokens_also_where_its_settings_cannot_be_read(
    tmp_path: Path,
) -> None:
    generation = toys.write_generation(tmp_path / "generation", {})
    etc = tmp_path / "device/etc/edgeai"
    etc.mkdir(parents=True)
    write(etc / "tokens", f"{TOKEN}\n")
    write(etc / "device.toml", "this is no TOML")
    with socket.create_server(("127.0.0.1", 0)) as listener, serving(
        generation, listener=listener, root=tmp_path / "device"
    ) as process:
        process.tell("accept")
        process.wait_for("accepting")
        remote = http.client.HTTPConnection(*listener.getsockname(), timeout=BOUND_S)
        assert [ask(remote, "GET", "/v2", token) for token in ("", TOKEN)] == [401, 200]
        remote.close()


@pytest.fixture
def certificate(tmp_path: Path) -> Dict[str, Path]:
    """A certificate for 127.0.0.1, its key, and the CA that vouches for it."""
    pytest.importorskip("cryptography", reason="a certificate is made with cryptography, which devices lack")
    from edgeai_runtime.bundle.certificate import make_certificate

    make_certificate(tmp_path / "keys", ["127.0.0.1"])
    made = tmp_path / "keys" / "depot"
    return {"pem": made / "127.0.0.1.pem", "key": made / "127.0.0.1.key", "ca": made / "ca.pem"}


class TestTls:
    def test_is_what_tcp_clients_begin_with(
        self, start: Callable[[str], ByHand], certificate: Dict[str, Path], tmp_path: Path
    ) -> None:
        by_hand = start('certificate = "{pem}"\nkey = "{key}"\n'.format(**certificate))
        assert by_hand.said == f"edgeai serves adder on here.sock and https://127.0.0.1:{by_hand.port}"
        trusting = ssl.create_default_context(cafile=str(certificate["ca"]))
        remote = by_hand.connect(tls=trusting)
        for _again in range(3):  # one connection, kept
            assert ask(remote, "POST", "/v2/models/adder/infer") == 200
        remote.close()
        remote = by_hand.connect(tls=trusting)
        remote.request("GET", "/v2", headers={"Connection": "close"})
        assert json.loads(remote.getresponse().read())["name"] == "edgeai"
        remote.close()
        local = by_hand.connect(tmp_path / "here.sock")
        assert ask(local, "POST", "/v2/models/adder/infer") == 200
        local.close()
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
            ask(by_hand.connect(tls=ssl.create_default_context()), "GET", "/v2")
        plain = by_hand.connect()
        with pytest.raises((http.client.HTTPException, OSError)):
            ask(plain, "GET", "/v2")
        plain.close()
        remote = by_hand.connect(tls=trusting)  # who came wrongly is in nobody's way
        assert ask(remote, "GET", "/v2") == 200
        by_hand.process.terminate()
        remote.close()
        assert by_hand.process.wait(BOUND_S) == 0

    def test_is_missed_once_however_often_it_is_not_spoken(
        self, start: Callable[[str], ByHand], certificate: Dict[str, Path]
    ) -> None:
        by_hand = start('certificate = "{pem}"\nkey = "{key}"\n'.format(**certificate))
        for _time in range(5):
            plain = by_hand.connect()
            with pytest.raises((http.client.HTTPException, OSError)):
                ask(plain, "GET", "/v2")
            plain.close()
        by_hand.process.terminate()
        _out, said = by_hand.process.communicate(timeout=BOUND_S)
        (line,) = said.splitlines()
        assert line.startswith("edgeai: a connection was lost while it was accepted: [SSL: HTTP_REQUEST]")

    def test_a_crowd_that_never_agrees_on_it_makes_room(
        self, start: Callable[[str], ByHand], certificate: Dict[str, Path]
    ) -> None:
        by_hand = start('connections = 2\ncertificate = "{pem}"\nkey = "{key}"\n'.format(**certificate))
        silent = [socket.create_connection(("127.0.0.1", by_hand.port), BOUND_S) for _number in range(2)]
        remote = by_hand.connect(tls=ssl.create_default_context(cafile=str(certificate["ca"])))
        assert ask(remote, "GET", "/v2") == 200
        assert silent[0].recv(1) == b""
        assert select.select(silent[1:], [], [], 0)[0] == []  # one place was enough
        for client in (*silent, remote):
            client.close()

    @pytest.mark.parametrize(
        ("settings", "sentence"),
        [
            ('certificate = "{pem}"\n', "name both serve.certificate and serve.key"),
            ('certificate = "{pem}"\nkey = "missing.pem"\n', "missing.pem: cannot be read"),
            ('certificate = "{ca}"\nkey = "{key}"\n', "are no certificate with its key"),
        ],
    )
    def test_that_cannot_be_is_refused_in_one_sentence(
        self,
        start: Callable[[str], ByHand],
        certificate: Dict[str, Path],
        settings: str,
        sentence: str,
    ) -> None:
        by_hand = start(settings.format(**certificate))
        assert by_hand.process.wait(BOUND_S) == 1
        assert by_hand.said.startswith("edgeai: error: ")
        assert sentence in by_hand.said
