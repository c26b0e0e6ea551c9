"""The client of the command line against real serving processes."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from pathlib import Path
from typing import Any, Iterator, Optional

import pytest
import toys
from by_hand import ByHand
from edgeai_keeper.listeners import listen_unix
from serving_process import serving
from toys import Toy

from edgeai_runtime.cli import main
from edgeai_runtime.client import Client, InferResult
from edgeai_runtime.errors import BackendError, EdgeAIError, InputError, TransferError

READER = Toy(toys.reader(widest=16), toys.READER, toys.LABELS, version="1.2.0")


def infer(url: str, model: Optional[str], image: Path) -> InferResult:
    with Client(url) as client:
        return client.infer(model, image)


@pytest.fixture(scope="module")
def url(tmp_path_factory: Any) -> Iterator[str]:
    with serving(toys.write_generation(tmp_path_factory.mktemp("generation"), {"reader": READER})) as process:
        yield process.url


@pytest.fixture
def image(tmp_path: Path) -> Path:
    file = tmp_path / "label.png"
    file.write_bytes(toys.picture("CAB"))
    return file


@pytest.mark.parametrize("model", ["reader", None])
def test_an_image_is_answered(url: str, image: Path, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # a device is asked directly
    result = infer(f"{url}/", model, image)
    assert (result.model, result.version) == ("reader", "1.2.0")
    assert result.outputs["text"] == ["CAB"]
    assert result.ms > 0


def test_a_device_itself_is_asked_by_its_unix_socket(tmp_path: Path, image: Path) -> None:
    at = tmp_path / ("d" * 120) / "http.sock"  # longer than a socket's name may be
    at.parent.mkdir()
    generation = toys.write_generation(tmp_path / "generation", {"reader": READER})
    with listen_unix(at, 0o666, 16) as listener, serving(generation, listener=listener) as process:
        process.wait_for("ready")
        process.tell("accept")
        with Client(uds=at) as client:
            assert client.infer(None, image).outputs["text"] == ["CAB"]
            with pytest.raises(InputError, match="no model 'other' here"):
                client.infer("other", image)
    with Client(uds=at) as client, pytest.raises(TransferError, match=f"^{at}: nothing answers there"):
        client.only_model()


def test_a_jpeg_is_known_by_its_content(url: str, tmp_path: Path) -> None:
    (tmp_path / "label").write_bytes(toys.picture("B", "JPEG", step=4))
    assert infer(url, None, tmp_path / "label").outputs["text"] == ["B"]


def test_a_file_that_is_no_image_is_not_sent(url: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.png: cannot be read"):
        infer(url, None, tmp_path / "none.png")
    (tmp_path / "a.png").write_bytes(b"text")
    with pytest.raises(InputError, match=r"a\.png: this is neither a PNG or JPEG image nor a V2 request"):
        infer(url, None, tmp_path / "a.png")


def test_a_request_in_json_asks_a_model_that_takes_tensors(tmp_path: Path) -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}
    (tmp_path / "request.json").write_text(json.dumps({"inputs": [tensor]}))
    with serving(toys.write_generation(tmp_path / "g", {"adder": toys.Toy(toys.add_one())})) as process:
        assert infer(process.url, None, tmp_path / "request.json").outputs == {"y": [2, 3, 4]}


def test_the_devices_own_words_explain_a_refusal(url: str, image: Path) -> None:
    with pytest.raises(InputError, match="no model 'other' here; served are: reader"):
        infer(url, "other", image)
    image.write_bytes(toys.picture("ABCABC"))
    with pytest.raises(BackendError, match=r"reader 1\.2\.0 failed on the input x"):
        infer(url, "reader", image)


def test_one_of_several_models_must_be_named(tmp_path: Path, image: Path) -> None:
    two = toys.write_generation(tmp_path / "two", {"b": READER, "a": READER})
    with serving(two) as process, pytest.raises(InputError, match="serves a, b; name one"):
        infer(process.url, None, image)
    none = toys.write_generation(tmp_path / "none", {})
    with serving(none) as process, pytest.raises(InputError, match="serves no model"):
        infer(process.url, None, image)


def test_an_address_where_nothing_answers_is_named(image: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(TransferError, match=f"^{url}.*nothing answers there"):
        infer(url, "reader", image)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.0.0.1:8080", "http://", "http://h:99999", "ftp://h", "http://[::1"]
)
def test_what_is_no_address_is_told_one(
    address: str, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["infer", str(image), "--url", address]) == 1
    assert capsys.readouterr().err == (
        f"edgeai: error: '{address}' is no address of a server, expected one like http://127.0.0.1:8080.\n"
    )


@pytest.fixture(scope="module")
def keys(tmp_path_factory: Any) -> Path:
    pytest.importorskip("cryptography", reason="a certificate is made with cryptography, which devices lack")
    from edgeai_runtime.bundle.certificate import make_certificate

    directory: Path = tmp_path_factory.mktemp("keys")
    make_certificate(directory, ["127.0.0.1"])
    return directory / "depot"


@pytest.fixture(scope="module")
def port(keys: Path) -> Iterator[int]:
    """Where TLS is spoken, with the certificate of `keys`."""
    (keys / "adder.onnx").write_bytes(toys.add_one())
    settings = '[serve]\ncertificate = "127.0.0.1.pem"\nkey = "127.0.0.1.key"\n'
    (keys / "settings.toml").write_text(f"schema = 1\n{settings}")
    started = ByHand(keys, "adder.onnx", "--config", "settings.toml")
    yield started.port
    started.close()


class TestTls:
    def test_of_whom_the_environment_trusts_is_spoken(
        self, keys: Path, port: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(keys / "ca.pem"))
        with Client(f"https://127.0.0.1:{port}") as client:
            assert client.only_model() == "adder"

    @pytest.mark.parametrize(
        ("address", "ca", "sentence"),
        [
            ("https://127.0.0.1", None, "its certificate is not trusted here (unable to get local issuer"),
            ("https://localhost", "ca.pem", "its certificate is not trusted here (Hostname mismatch"),
            ("https://127.0.0.1", "127.0.0.1.key", "there is no TLS with it ("),
            (
                "https://127.0.0.1",
                "gone.pem",
                "gone.pem: there is no such file; have SSL_CERT_FILE name",
            ),
            ("http://127.0.0.1", None, "who is there hung up; look at its log, and ask https:// where"),
        ],
    )
    def test_that_cannot_be_says_why(
        self,
        keys: Path,
        port: int,
        monkeypatch: pytest.MonkeyPatch,
        address: str,
        ca: Optional[str],
        sentence: str,
    ) -> None:
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        if ca is not None:
            monkeypatch.setenv("SSL_CERT_FILE", str(keys / ca))
        with pytest.raises(EdgeAIError) as error, Client(f"{address}:{port}") as client:
            client.only_model()
        assert sentence in error.value.message

    def test_with_a_server_that_speaks_none_is_told_from_a_bad_certificate(self, url: str) -> None:
        with pytest.raises(TransferError, match=r"there is no TLS with it \(.+\); ask http:// where it"):
            Client(url.replace("http:", "https:")).only_model()


def test_another_server_is_not_taken_for_a_device(image: Path) -> None:
    class Page(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>hello</html>")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(TransferError, match="HTTP 200, not a device's answer"):
            infer(f"http://127.0.0.1:{server.server_port}", "reader", image)
        thread.join()
