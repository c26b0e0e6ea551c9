"""The client of the command line against real serving processes."""

from __future__ import annotations

import http.server
import socket
import threading
from pathlib import Path
from typing import Any, Iterator

import pytest
import toys
from serving_process import serving
from toys import Toy

from edgeai_runtime.client import infer
from edgeai_runtime.errors import BackendError, InputError, TransferError

READER = Toy(toys.reader(widest=16), toys.READER, toys.LABELS, version="1.2.0")


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


def test_a_jpeg_is_known_by_its_content(url: str, tmp_path: Path) -> None:
    (tmp_path / "label").write_bytes(toys.picture("B", "JPEG", step=4))
    assert infer(url, None, tmp_path / "label").outputs["text"] == ["B"]


def test_a_file_that_is_no_image_is_not_sent(url: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.png: cannot be read"):
        infer(url, None, tmp_path / "none.png")
    (tmp_path / "a.png").write_bytes(b"text")
    with pytest.raises(InputError, match=r"a\.png: this is no PNG or JPEG"):
        infer(url, None, tmp_path / "a.png")


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
    with pytest.raises(InputError, match="cannot be asked"):
        infer("127.0.0.1", "reader", image)


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
