"""What a fleet lives through: runs that change nothing, a keeper that is killed, two models, the end."""

from __future__ import annotations

import json
import os
import re
import signal
from typing import Iterator, List

import psutil
import pytest
from small_fleet import Fleet, wait_until


@pytest.mark.parametrize("mode", [[], ["--check", "--limit", "pi"]], ids=["", "check"])
def test_provisioning_again_changes_nothing(fleet: Fleet, mode: List[str]) -> None:
    with fleet.left_as_it_is():
        run = fleet.succeed("provision", *mode)
    assert run.changed == 0, run.output


@pytest.mark.parametrize("mode", [[], ["--check", "--limit", "pi"]], ids=["", "check"])
def test_an_unchanged_rollout_changes_nothing(fleet: Fleet, mode: List[str]) -> None:
    version = fleet.devices[0].reads()[1]
    with fleet.left_as_it_is():
        run = fleet.succeed("rollout", *mode, release_name="reader", release_version=version)
    assert run.changed == 0, run.output


def test_a_rollout_in_check_mode_predicts_and_never_says_what_a_gate_would(fleet: Fleet) -> None:
    with fleet.left_as_it_is():
        run = fleet.succeed(
            "rollout", "--check", "--limit", "pi", release_name="finder", release_version="1.0.0"
        )
    assert run.changed == 1
    assert re.search(r"pi +line-1 +\S+ +predicted +would fetch finder 1\.0\.0", run.output), run.output


def test_check_mode_predicts_for_a_bare_device_and_makes_nothing(fleet: Fleet) -> None:
    bare = {"bare": {**fleet.variables["pc"], "runtime_http": "127.0.0.1:1"}}
    run = fleet.play("provision", "--check", devices=bare)
    assert run.status == 0, run.output
    assert run.changed > 0
    for predicted in (
        "would make etc/edgeai, opt/edgeai",
        "would write device.toml",
        "would build the environment",
    ):
        assert predicted in run.output
    assert not (fleet.base / "bare").exists()


def test_a_killed_keeper_comes_back_and_serves_the_same_generation(fleet: Fleet) -> None:
    device = fleet.devices[0]
    before, kept = device.control(), device.as_it_is()
    os.kill(before["pid"], signal.SIGKILL)
    wait_until(
        lambda: device.control().get("phase") == "confirmed" and device.control()["pid"] != before["pid"],
        "another keeper serves",
    )
    wait_until(lambda: not psutil.pid_exists(before["child_pid"]), "the killed keeper's child is gone")
    after = device.as_it_is()
    for same in ("state", "generation", "generations", "reads"):
        assert after[same] == kept[same]


def test_two_models_share_a_generation_and_one_goes_back_without_the_other(fleet: Fleet) -> None:
    device = fleet.devices[0]
    reader = device.reads()
    for version in ("1.0.0", "1.1.0"):
        change = {"release_rollout_id": f"change {version}"}
        fleet.succeed("rollout", "--limit", "pi", release_name="finder", release_version=version, **change)
        assert device.reads("finder") == ("CAB", version)
        assert device.status()["models"] == {"reader": reader[1], "finder": version}
    together = device.status()["generation"]
    fleet.succeed("rollback", "--limit", "pi", release_name="finder")
    assert device.reads("finder") == ("CAB", "1.0.0")
    assert device.reads() == reader
    assert device.status()["generation"] != together
    steps = {(line["event"], line["actor"].partition(", rollout ")[2]) for line in device.journal()}
    events = ("fetched", "converted", "gate_passed", "switched", "confirmed")
    assert {(event, f"change {version}") for event in events for version in ("1.0.0", "1.1.0")} <= steps


def test_what_each_device_did_is_brought_signed(fleet: Fleet) -> None:
    keys = fleet.base / "report-keys"
    for _twice in range(2):
        fleet.succeed(
            "reports", report_dir=str(fleet.base / "report"), report_keys_dir=str(keys), report_days=1
        )
    for device in fleet.devices:
        report = json.loads((fleet.base / f"report/devices/{device.name}.json").read_text())
        assert report["device"] == device.name
        assert [json.loads(line) for line in report["journal"]] == device.journal()
        assert (keys / f"{device.name}.pub").read_text().startswith("ssh-ed25519 ")


@pytest.fixture
def leaving(fleet: Fleet) -> Iterator[Fleet]:
    """Another fleet, of one device and a depot of its own, that is to be removed."""
    base = fleet.base / "x"
    base.mkdir()
    leaving = Fleet(base, fleet.bundle)
    leaving.add("pc", runtime_class="industrial_pc", runtime_line="line-1")
    try:
        leaving.succeed("depot")
        leaving.succeed("provision")
        yield leaving
    finally:
        leaving.clean_up()


def test_removing_leaves_no_directory_process_or_socket(leaving: Fleet) -> None:
    (device,) = leaving.devices
    assert len(leaving.processes()) == 5  # two supervisors, depot, keeper, serving process
    assert device.answers()
    assert leaving.depot_answers()

    leaving.succeed("remove")

    assert [root for root in leaving.roots() if root.exists()] == []
    assert leaving.processes() == []
    assert not device.answers()
    assert not leaving.depot_answers()
    with open("/proc/self/net/unix", encoding="utf-8") as sockets:
        assert [line for line in sockets if f"{leaving.base}/" in line] == []
    assert leaving.bundle.is_dir()
    assert leaving.succeed("remove").changed == 0
