from __future__ import annotations

import http.server
import json
import socketserver
import threading
from pathlib import Path
from typing import Any, Dict, Optional

import pytest

from edgeai_runtime.monitor import asking


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = self.server.answers.get(self.path, (404, b"{}"))  # type: ignore[attr-defined]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "a program on the device"

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


def ask(directory: Path, answers: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    # Its root may be longer than a socket's name can be.
    directory = directory / ("long" * 30)
    directory.mkdir()
    with asking.short(directory / "http.sock") as name:
        server = socketserver.UnixStreamServer(name, Handler)
    server.answers = answers  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        return asking.ask(directory / "http.sock")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_serving_process_is_asked_for_its_report(tmp_path: Path) -> None:
    report = {"condition": "good"}
    assert ask(tmp_path, {asking.REPORT_PATH: (200, json.dumps(report).encode())}) == report


@pytest.mark.parametrize("answer", [(404, b"{}"), (200, b"["), (200, b"[]"), (500, b"")])
def test_one_that_has_no_report_is_as_none(tmp_path: Path, answer: Any) -> None:
    assert ask(tmp_path, {asking.REPORT_PATH: answer}) is None


def test_nobody_answers_where_nothing_serves(tmp_path: Path) -> None:
    assert asking.ask(tmp_path / "run" / "http.sock") is None
