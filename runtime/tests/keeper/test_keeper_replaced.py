"""Provisioning puts a newer keeper in the place of the one that runs, and systemd starts it again."""

from __future__ import annotations

import socket
import sys
import zipfile
from io import BytesIO

from keeper_device import Device

from edgeai_runtime.durable import write_atomic
from edgeai_runtime.environments.commands import keeper_archive


def newer_archive() -> bytes:
    """A keeper whose journal shows that it is another."""
    archive = BytesIO()
    with zipfile.ZipFile(BytesIO(keeper_archive())) as old, zipfile.ZipFile(archive, "w") as new:
        for name in old.namelist():
            if not name.startswith("__main__"):
                new.writestr(name, old.read(name))
        new.writestr(
            "__main__.py",
            "import sys\nfrom edgeai_keeper.__main__ import main\n"
            "sys.argv += ['--actor', 'newer']\nraise SystemExit(main())\n",
        )
    return archive.getvalue()


def test_no_request_is_lost_when_a_running_keeper_is_replaced(device: Device) -> None:
    file = device.paths.root / "keeper"
    file.write_bytes(keeper_archive())
    command = [sys.executable, "-I", "-S", str(file)]
    for number in (1, 2):
        device.write_generation(number, slow_s=0.003)
    host, port = device.http.split(":")
    with socket.create_server((host, int(port)), backlog=64) as listener:
        device.start(command=command, listener=listener)
        device.confirmed(1)
        with device.load() as load:
            load.wait_answers(20, 1)
            write_atomic(file, newer_archive())
            device.confirmed(2)  # the one that runs needs nothing of its file any more
            load.wait_answers(20, 2)
            assert device.stop() == 0
            answered = len(load.answers)
            device.start(command=command, listener=listener)
            load.wait_answers(answered + 20, 2)
    assert load.lost == []
    assert {answer.status for answer in load.answers} == {200}
    assert [line["actor"] for line in device.journal() if line["event"] == "keeper_started"] == [
        "keeper",
        "newer",
    ]
