"""A keeper that is root's: its generations run as the owner of the state, and change nothing of it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Dict, Iterator

import pytest
from keeper_device import Device, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
PYTHON = "/usr/bin/python3"  # the tests' own may lie where nobody else gets
PROGRAM = """
import sys
from pathlib import Path
place = Path(sys.argv[1])
acts = {
    "write": lambda: place.open("a"),
    "replace": lambda: place.rename(place.with_name("other")),
    "add": lambda: place.with_name("new").touch(),
}
for name, act in acts.items():
    try:
        act()
        print(name)
    except OSError:
        pass
"""


@pytest.fixture
def device() -> Iterator[Device]:
    """A device whose state belongs to another user, in a place that user gets to."""
    if not Path(PYTHON).exists():
        pytest.skip(f"needs {PYTHON}, which every user may run")
    root = Path(tempfile.mkdtemp(prefix="edgeai-keeper-"))
    root.chmod(0o755)
    device = Device(root)
    standin = Path(__file__).with_name("standin.py").read_text()
    (device.paths.environment("e1") / "bin" / "python").write_text(f"#!{PYTHON}\n{standin}")
    device.paths.bin.mkdir()
    (device.paths.bin / "keeper").touch()
    device.paths.var.mkdir(parents=True)
    os.chown(device.paths.var, nobody().pw_uid, nobody().pw_gid)
    yield device
    device.clean_up()
    shutil.rmtree(root)


def nobody() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")


def about(pid: int) -> Dict[str, str]:
    """What proc(5) says of a process, by name."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: " ".join(value.split()) for name, _colon, value in (line.partition(":") for line in lines)}


def serving(device: Device) -> int:
    """The process of a generation that was switched to, once it answers."""
    device.write_generation(1)
    device.start()
    device.confirmed(1)
    return device.wait_answer(1).pid


def changes(pid: int, path: Path) -> str:
    """What a program in the place and with the rights of process `pid` can do to a file."""
    ids = [f"--setuid={nobody().pw_uid}", f"--setgid={nobody().pw_gid}"]
    command = ["nsenter", f"--target={pid}", "--mount", *ids, PYTHON, "-c", PROGRAM, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_generation_runs_as_the_owner_and_can_become_nobody_else(device: Device) -> None:
    told = about(serving(device))
    user = nobody()
    assert told["Uid"] == " ".join([str(user.pw_uid)] * 4)
    assert told["Gid"] == " ".join([str(user.pw_gid)] * 4)
    assert told["Groups"].split() == [str(group) for group in os.getgrouplist("nobody", user.pw_gid)]
    assert (told["NoNewPrivs"], int(told["CapEff"], 16), int(told["CapPrm"], 16)) == ("1", 0, 0)


def test_a_generation_can_change_neither_state_nor_commands(device: Device) -> None:
    pid = serving(device)
    assert changes(pid, device.paths.bin / "keeper") == ""
    if os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt"):
        pytest.skip("this container's root may not mount, so the owner of a directory can replace its files")
    assert changes(pid, device.paths.state) == ""
    assert changes(pid, device.paths.journal) == ""
    assert changes(pid, device.paths.generation(1) / "manifest.json") == ""


def test_a_generation_writes_its_alarms_and_what_it_measured(device: Device) -> None:
    pid = serving(device)
    for place in (device.paths.alarms, device.paths.tuning):
        assert "write" in changes(pid, place).split()


def test_the_keeper_itself_goes_on_writing_its_state(device: Device) -> None:
    serving(device)
    device.write_generation(2)
    device.confirmed(2)
    assert device.state()["confirmed"] == 2
    assert os.readlink(device.paths.current) == "generations/2"
    assert [line["event"] for line in device.journal()][-1] == "confirmed"


def test_the_owner_may_ask_the_keeper(device: Device) -> None:
    serving(device)
    assert (device.paths.control.stat().st_uid, device.paths.control.stat().st_mode & 0o777) == (
        nobody().pw_uid,
        0o600,
    )


def test_a_killed_keeper_takes_its_generation_along(device: Device) -> None:
    pid = serving(device)
    device.kill()
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), "the generation to end")


def test_a_generation_of_a_killed_keeper_ends_though_it_does_not_listen(device: Device) -> None:
    """The kernel tells it: here it is not even far enough to read what its keeper says."""
    device.write_generation(1, never_ready=True)
    (device.paths.environment("e1") / "bin" / "python").write_text(
        f"#!{PYTHON}\nimport os, pathlib, time\n"
        "pathlib.Path('/proc/self/comm').write_text('deaf')\ntime.sleep(3600)\n"
    )
    device.start()
    request = subprocess.Popen(
        [sys.executable, "-c", SWITCH, str(device.paths.root)], stderr=subprocess.DEVNULL
    )
    pid = int(wait_for(lambda: deaf(device), "the generation to start"))
    device.kill()
    request.wait()
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), "the generation to end")


SWITCH = """
import sys
from pathlib import Path
from edgeai_runtime.generations.keeper_client import KeeperClient
from edgeai_runtime.paths import Paths
KeeperClient(Paths(Path(sys.argv[1]))).request({"command": "switch", "generation": 1}, timeout_s=60)
"""


def deaf(device: Device) -> int:
    """The child of the keeper that has come to its long sleep, 0 before."""
    assert device.keeper is not None
    children = Path(f"/proc/{device.keeper.pid}/task/{device.keeper.pid}/children").read_text().split()
    return next((int(pid) for pid in children if about(int(pid))["Name"] == "deaf"), 0)


def test_a_root_that_owns_the_state_serves_as_root(device: Device) -> None:
    os.chown(device.paths.var, 0, 0)
    assert about(serving(device))["Uid"] == "0 0 0 0"


def test_an_owner_who_is_no_user_is_named(device: Device) -> None:
    os.chown(device.paths.var, 61234, 61234)
    launch = "import sys; from edgeai_keeper.__main__ import main; sys.exit(main())"
    command = [sys.executable, "-c", launch, "--root", str(device.paths.root), "--http", device.http]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith("its owner, uid 61234, is no user here; provision the device again.\n")
