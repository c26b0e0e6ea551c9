"""A device's own system is tuned, stays tuned, and comes back as it was."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest
import yaml
from ansible_collections.edgeai.fleet.plugins.filter.tuning_settings import tuning_settings
from ansible_collections.edgeai.fleet.plugins.plugin_utils.known_tuning import (
    class_tuning,
    tuning_refusals,
    ways,
)

REPO = Path(__file__).resolve().parents[2]
CLASSES = ("industrial_pc", "jetson", "raspberry_pi")

GOVERNOR = {
    "name": "cpu_governor",
    "sysfs": "/sys/devices/system/cpu/cpufreq/policy*/scaling_governor",
    "value": "performance",
}
JOURNAL = {
    "name": "journal",
    "file": "/etc/systemd/journald.conf.d/90-edgeai.conf",
    "content": "[Journal]\nSystemMaxUse={value}\n",
    "value": "64M",
    "settle": [["systemctl", "restart", "systemd-journald.service"]],
}
SERVICE = {
    "name": "service",
    "file": "/etc/systemd/system/edgeai-zram.service",
    "content": "[Service]\n",
    "settle": [["systemctl", "daemon-reload"]],
    "apply": [["systemctl", "enable", "edgeai-zram.service"]],
    "undo": [["systemctl", "disable", "--now", "edgeai-zram.service"]],
}

# Power tools and others as scripts: each notes how it was called, and keeps what it was told.
TOOLS = {
    "systemctl": 'test ! -e "$ROOT/broken"',
    "findmnt": 'cat "$ROOT/mount-options"',
    "mount": 'echo "$2" | sed "s/^remount,/rw,/" > "$ROOT/mount-options"',
    "getent": 'grep "^$2:" "$ROOT/etc/group"',
    "gpasswd": """
        case "$1" in
        --add) sed -i "s/^$3:.*/&,$2/; s/:,/:/" "$ROOT/etc/group" ;;
        --delete) sed -i "/^$3:/s/\\b$2\\b//; s/,$//" "$ROOT/etc/group" ;;
        esac""",
    "nvpmodel": """
        case "$1" in
        -q) echo "NV Power Mode: some"; cat "$ROOT/mode" ;;
        -m) if test -e "$ROOT/asks"; then echo "NVPM WARN: Reboot required for this mode"; exit 0; fi
            echo "$2" > "$ROOT/mode" ;;
        esac""",
    "jetson_clocks": """
        case "$1" in
        --store) echo dynamic > "$2" ;;
        --restore) cat "$2" > "$ROOT/clocks" ;;
        *) echo maximum > "$ROOT/clocks" ;;
        esac""",
}


class Device:
    """A system below a directory of the test, with the tools above on its PATH."""

    def __init__(self, root: Path, run_module: Callable[..., Dict[str, Any]]) -> None:
        self.root = root
        self._run = run_module
        self.put("/sys/devices/system/cpu/cpufreq/policy0/scaling_governor", "schedutil\n")
        self.put("/sys/devices/system/cpu/cpufreq/policy4/scaling_governor", "ondemand\n")
        self.put("/etc/group", "video:x:44:factory\nrender:x:104:\n")
        self.put("/etc/apt/apt.conf.d/20auto-upgrades", "")
        self.put(
            "/etc/nvpmodel.conf", "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n"
        )
        self.put("/mode", "0\n")
        self.put("/clocks", "dynamic\n")
        self.put("/mount-options", "rw,relatime\n")
        for name, does in TOOLS.items():
            path = self.put(
                f"/bin/{name}", f'#!/bin/sh\necho "$(basename "$0") $*" >> "$ROOT/calls"\n{does}\n'
            )
            path.chmod(0o755)

    def put(self, name: str, text: str) -> Path:
        path = self.root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def read(self, name: str) -> str:
        return (self.root / name.lstrip("/")).read_text()

    def there(self, name: str) -> bool:
        return (self.root / name.lstrip("/")).exists()

    @property
    def governors(self) -> List[str]:
        place = "/sys/devices/system/cpu/cpufreq/policy{}/scaling_governor"
        return [self.read(place.format(number)).strip() for number in (0, 4)]

    def calls(self, *without: str) -> List[str]:
        """How the tools were called since the last time."""
        lines = self.read("/calls").splitlines() if self.there("/calls") else []
        self.put("/calls", "")
        return [line for line in lines if not line.startswith(without)] if without else lines

    def tune(self, *settings: Dict[str, Any], check: bool = False) -> Dict[str, Any]:
        return self._run("tuning", check=check, root=str(self.root), settings=list(settings))

    def snapshot(self) -> Dict[str, str]:
        """Every file and what is in it, but for the notes of the tools."""
        files = (path for path in self.root.rglob("*") if path.is_file() and path.name != "calls")
        return {str(path.relative_to(self.root)): path.read_text() for path in files}


@pytest.fixture
def device(tmp_path: Path, run_module: Any, monkeypatch: pytest.MonkeyPatch) -> Device:
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("ROOT", str(tmp_path))
    return Device(tmp_path, run_module)


class TestValuesInSys:
    def test_are_set_and_come_back(self, device: Device) -> None:
        result = device.tune(GOVERNOR)
        assert result["changed"] is True
        assert "set cpu_governor to performance" in result["actions"]
        assert device.governors == ["performance", "performance"]
        result = device.tune()
        assert result["actions"] == ["took back boot", "took back cpu_governor"]
        assert device.governors == ["schedutil", "ondemand"]

    def test_are_set_again_when_something_else_set_them(self, device: Device) -> None:
        device.tune(GOVERNOR)
        device.put("/sys/devices/system/cpu/cpufreq/policy4/scaling_governor", "powersave\n")
        assert device.tune(GOVERNOR)["actions"] == ["set cpu_governor to performance"]
        device.tune()
        assert device.governors == ["schedutil", "ondemand"]  # as it was before us, not as it had become

    def test_survive_a_restart_by_a_unit(self, device: Device) -> None:
        device.tune(GOVERNOR)
        unit = device.read("/etc/systemd/system/edgeai-tuning.service")
        assert f'ExecStart=-/bin/sh -c "echo performance | tee {GOVERNOR["sysfs"]} >/dev/null"' in unit
        assert device.calls() == ["systemctl daemon-reload", "systemctl enable edgeai-tuning.service"]

    @pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
    def test_systemd_understands_the_unit(self, device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
        device.tune(GOVERNOR)
        unit = device.root / "etc/systemd/system/edgeai-tuning.service"
        done = subprocess.run(
            ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
        )
        assert "edgeai-tuning" not in done.stderr

    def test_of_a_file_that_lists_all_there_are_are_the_one_in_brackets(self, device: Device) -> None:
        place = "/sys/kernel/mm/transparent_hugepage/enabled"
        device.put(place, "always [madvise] never\n")
        setting = {"name": "pages", "sysfs": place, "value": "madvise"}
        assert "set pages to madvise" not in device.tune(setting)["actions"]

    def test_that_the_kernel_makes_something_else_of_are_refused(
        self, device: Device, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = "/sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq"
        (device.root / place.lstrip("/")).symlink_to("/dev/null")
        result = device.tune({"name": "cpu_max_khz", "sysfs": place, "value": "1"})
        assert result["msg"] == (
            f"cpu_max_khz: {place} was set to '1' and is ''; correct that, or leave it alone with "
            "runtime_tuning: {cpu_max_khz: false}."
        )

    def test_that_a_device_does_not_have_are_left_out(self, device: Device) -> None:
        shutil.rmtree(device.root / "sys")
        result = device.tune(GOVERNOR)
        assert (result["changed"], result["left_out"]) == (False, {"cpu_governor": f"no {GOVERNOR['sysfs']}"})


class TestAFile:
    def test_is_written_and_goes_with_its_directory(self, device: Device) -> None:
        before = device.snapshot()
        device.tune(JOURNAL)
        assert device.read(JOURNAL["file"]) == "[Journal]\nSystemMaxUse=64M\n"
        assert device.calls() == ["systemctl restart systemd-journald.service"]
        device.tune()
        assert device.snapshot() == before
        assert not device.there("/etc/systemd/journald.conf.d")
        assert not device.there("/etc/edgeai/tuning")
        assert device.calls() == ["systemctl restart systemd-journald.service"]

    def test_that_was_there_comes_back_as_it_was(self, device: Device) -> None:
        device.put(JOURNAL["file"], "[Journal]\nStorage=none\n")
        device.tune(JOURNAL)
        device.tune({**JOURNAL, "value": "32M"})
        assert "32M" in device.read(JOURNAL["file"])
        device.tune()
        assert device.read(JOURNAL["file"]) == "[Journal]\nStorage=none\n"

    def test_that_somebody_changed_since_is_left_to_them(self, device: Device) -> None:
        device.tune(JOURNAL)
        device.put(JOURNAL["file"], "[Journal]\nSystemMaxUse=1G\n")
        device.calls()
        device.tune()
        assert "1G" in device.read(JOURNAL["file"])
        assert device.calls() == []
        assert not device.there("/etc/edgeai/tuning")

    def test_that_moved_does_not_stay_at_its_old_place(self, device: Device) -> None:
        device.tune(JOURNAL)
        elsewhere = "/etc/systemd/journald.conf.d/95-edgeai.conf"
        device.tune({**JOURNAL, "file": elsewhere})
        assert not device.there(JOURNAL["file"])
        device.tune()
        assert not device.there(elsewhere)

    def test_that_becomes_a_value_in_sys_does_not_stay(self, device: Device) -> None:
        before = device.snapshot()
        device.tune({**JOURNAL, "name": "cpu_governor"})
        device.tune(GOVERNOR)
        assert not device.there(JOURNAL["file"])
        assert device.governors == ["performance", "performance"]
        device.tune()
        assert device.snapshot() == before

    def test_of_a_unit_is_enabled_after_and_disabled_before(self, device: Device) -> None:
        device.tune(SERVICE)
        assert device.calls() == ["systemctl daemon-reload", "systemctl enable edgeai-zram.service"]
        device.tune()
        assert device.calls() == [
            "systemctl disable --now edgeai-zram.service",
            "systemctl daemon-reload",
        ]


POWER = {**ways()["power_mode"], "name": "power_mode", "value": "MAXN_SUPER"}
CLOCKS = {**ways()["jetson_clocks"], "name": "jetson_clocks"}
TIMES = {**ways()["access_times"], "name": "access_times", "value": "noatime"}
VIDEO = {
    "name": "gpu_video",
    "value": "edgeai",
    "query": ["getent", "group", "video"],
    "pattern": ways()["gpu_video"]["pattern"],
    "set": ["gpasswd", "--add", "{value}", "video"],
    "unset": ["gpasswd", "--delete", "edgeai", "video"],
}
EVERYTHING = (GOVERNOR, JOURNAL, SERVICE, POWER, CLOCKS, TIMES)


class TestACommand:
    def test_sets_a_power_mode_by_its_name_and_the_old_one_again(self, device: Device) -> None:
        device.tune(POWER)
        assert device.calls() == ["nvpmodel -q", "nvpmodel -m 2", "nvpmodel -q"]
        assert device.tune(POWER)["changed"] is False
        assert device.calls() == ["nvpmodel -q"]
        device.tune()
        assert device.read("/mode") == "0\n"
        assert not device.there("/etc/systemd/system/edgeai-tuning.service")  # nvpmodel keeps it itself

    def test_takes_a_power_mode_by_its_number(self, device: Device) -> None:
        device.tune({**POWER, "value": "2"})
        assert device.read("/mode") == "2\n"

    def test_refuses_a_power_mode_that_the_board_does_not_have(self, device: Device) -> None:
        result = device.tune({**POWER, "value": "MAXN"})
        assert "knows no 'MAXN'; give one of 15W, MAXN_SUPER, or leave it alone" in result["msg"]
        assert device.calls("nvpmodel -q") == []

    def test_fails_when_the_mode_needs_a_restart(self, device: Device) -> None:
        device.put("/asks", "")
        result = device.tune(POWER)
        assert "2 was to be set and it is 0 (it said: NVPM WARN: Reboot required" in result["msg"]
        assert "run nvpmodel -m 2 by hand, which may ask for a restart" in result["msg"]
        (device.root / "asks").unlink()
        assert device.tune(POWER)["changed"] is True
        device.tune()
        assert device.read("/mode") == "0\n"

    def test_raises_a_jetsons_clocks_at_each_start_and_puts_them_back(self, device: Device) -> None:
        device.tune(CLOCKS)
        assert device.calls("systemctl") == [
            f"jetson_clocks --store {device.root}/etc/edgeai/tuning/jetson_clocks.stored",
            "jetson_clocks ",
        ]
        assert "ExecStart=-/usr/bin/env jetson_clocks\n" in device.read(
            "/etc/systemd/system/edgeai-tuning.service"
        )
        assert device.tune(CLOCKS)["changed"] is False
        assert device.calls() == []
        device.tune()
        assert device.calls("systemctl") == [
            f"jetson_clocks --restore {device.root}/etc/edgeai/tuning/jetson_clocks.stored"
        ]
        assert device.read("/clocks") == "dynamic\n"
        assert not device.there("/etc/edgeai/tuning")

    def test_that_failed_is_not_taken_back(self, device: Device) -> None:
        script = device.root / "bin/jetson_clocks"
        whole = script.read_text()
        script.write_text("#!/bin/sh\necho cannot; exit 1\n")
        assert "jetson_clocks --store" in device.tune(CLOCKS)["msg"]
        assert device.tune()["changed"] is True
        assert not device.there("/etc/edgeai/tuning")
        script.write_text(whole)
        device.tune(CLOCKS)
        assert device.read("/clocks") == "maximum\n"

    def test_spares_writes_of_access_times(self, device: Device) -> None:
        device.tune(TIMES)
        assert device.read("/mount-options") == "rw,noatime\n"
        device.tune()
        assert device.read("/mount-options") == "rw,relatime\n"

    def test_puts_the_user_into_a_group_and_out_again(self, device: Device) -> None:
        before = device.read("/etc/group")
        device.tune(VIDEO)
        assert "video:x:44:factory,edgeai\n" in device.read("/etc/group")
        assert device.tune(VIDEO)["changed"] is False
        device.tune()
        assert device.read("/etc/group") == before

    def test_leaves_a_user_in_the_group_that_was_in_it(self, device: Device) -> None:
        device.put("/etc/group", "video:x:44:edgeai\n")
        assert device.tune(VIDEO)["changed"] is False
        device.tune()
        assert device.read("/etc/group") == "video:x:44:edgeai\n"

    def test_that_is_not_there_is_left_out(self, device: Device) -> None:
        (device.root / "bin/nvpmodel").unlink()
        assert device.tune(POWER)["left_out"] == {"power_mode": "no nvpmodel"}


class TestAnything:
    def test_the_same_again_changes_nothing(self, device: Device) -> None:
        device.tune(*EVERYTHING)
        before = device.snapshot()
        device.calls()
        result = device.tune(*EVERYTHING)
        assert (result["changed"], result["actions"], result["diff"]) == (False, [], [])
        assert device.snapshot() == before
        assert device.calls("nvpmodel -q", "findmnt") == []

    def test_all_of_it_comes_back(self, device: Device) -> None:
        before = device.snapshot()
        device.tune(*EVERYTHING)
        device.tune()
        assert device.snapshot() == before
        assert device.tune()["changed"] is False

    def test_a_play_takes_it_for_done_although_something_is_left_out(self, device: Device, play: Any) -> None:
        shutil.rmtree(device.root / "sys")
        task = {"edgeai.fleet.tuning": {"root": str(device.root), "settings": [GOVERNOR, JOURNAL]}}
        device.put("/ansible.cfg", "")
        done = play(
            [{"hosts": "all", "gather_facts": False, "tasks": [{"name": "Tune", **task}]}],
            {
                "all": {
                    "hosts": {
                        "here": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
                    }
                }
            },
        )
        assert "1 changed" in done.stdout, done.stdout + done.stderr

    def test_what_is_switched_off_comes_back_and_the_rest_stays(self, device: Device) -> None:
        device.tune(GOVERNOR, JOURNAL)
        result = device.tune(GOVERNOR)
        assert result["actions"] == ["took back journal"]
        assert not device.there(JOURNAL["file"])
        assert device.governors == ["performance", "performance"]

    def test_check_mode_says_it_and_changes_nothing(self, device: Device) -> None:
        before = device.snapshot()
        result = device.tune(*EVERYTHING, check=True)
        assert result["actions"][:2] == ["would set cpu_governor to performance", "would set journal to 64M"]
        assert device.snapshot() == before
        assert device.calls("nvpmodel -q", "findmnt") == []
        done = device.tune(*EVERYTHING)
        assert [action.replace("set", "would set", 1) for action in done["actions"]] == result["actions"]
        assert done["diff"] == result["diff"]
        tuned = device.snapshot()
        assert device.tune(check=True)["actions"][0] == "would take back access_times"
        assert device.snapshot() == tuned

    def test_the_diff_shows_before_and_after(self, device: Device) -> None:
        first, second = device.tune(GOVERNOR)["diff"][:2]
        assert first == {
            "before_header": "/sys/devices/system/cpu/cpufreq/policy0/scaling_governor",
            "after_header": "/sys/devices/system/cpu/cpufreq/policy0/scaling_governor",
            "before": "schedutil\n",
            "after": "performance\n",
        }
        assert second["before"] == "ondemand\n"

    def test_an_interrupted_run_is_finished_by_the_next(self, device: Device) -> None:
        device.put("/broken", "")
        result = device.tune(SERVICE)
        assert "systemctl daemon-reload ended with status 1" in result["msg"]
        (device.root / "broken").unlink()
        device.calls()
        assert device.tune(SERVICE)["changed"] is True
        assert device.calls() == ["systemctl daemon-reload", "systemctl enable edgeai-zram.service"]
        assert device.tune(SERVICE)["changed"] is False

    def test_an_interrupted_run_is_undone(self, device: Device) -> None:
        before = device.snapshot()
        device.put("/broken", "")
        device.tune(GOVERNOR, SERVICE)
        (device.root / "broken").unlink()
        device.tune()
        assert device.snapshot() == before

    def test_in_a_container_the_machine_is_left_alone(self, device: Device) -> None:
        device.put("/run/.containerenv", "")
        result = device.tune(GOVERNOR, JOURNAL, TIMES)
        assert set(result["left_out"]) == {"cpu_governor", "access_times"}
        assert device.governors == ["schedutil", "ondemand"]
        assert device.there(JOURNAL["file"])

    @pytest.mark.parametrize(
        ("condition", "why"),
        [
            ({"needs": ["/dev/dri/renderD*", "/dev/nvidia0"]}, "no /dev/dri/renderD* or /dev/nvidia0"),
            ({"unless": ["/etc/gro*"]}, "/etc/gro* is there"),
            ({"only_if": ["getent", "group", "nobody-has-it"]}, "getent group nobody-has-it says no"),
        ],
    )
    def test_that_does_not_concern_a_device_is_left_out(
        self, device: Device, condition: Dict[str, Any], why: str
    ) -> None:
        assert device.tune({**JOURNAL, **condition})["left_out"] == {"journal": why}

    def test_a_record_of_a_newer_version_is_not_guessed_at(self, device: Device) -> None:
        device.put("/etc/edgeai/tuning/journal.json", json.dumps({"schema": 2}))
        assert "schema 2 is unknown here, expected 1" in device.tune()["msg"]

    @pytest.mark.parametrize("ways", [[], ["file", "sysfs"]])
    def test_a_setting_has_exactly_one_way(self, device: Device, ways: List[str]) -> None:
        setting = {key: {**JOURNAL, **GOVERNOR}[key] for key in ways}
        assert device.tune({"name": "odd", **setting})["failed"] is True


class TestTheClasses:
    @pytest.mark.parametrize("device_class", CLASSES)
    def test_name_settings_that_there_is_a_way_to_make(self, device_class: str) -> None:
        assert set(class_tuning(device_class)) <= set(ways())
        assert tuning_refusals(device_class, class_tuning(device_class)) == []

    @pytest.mark.parametrize("device_class", CLASSES)
    def test_are_tuned_and_come_back_whole(self, device: Device, device_class: str) -> None:
        for name in ("/dev/watchdog", "/dev/dri/renderD128", "/dev/nvhost-gpu"):
            device.put(name, "")
        text = (REPO / "roles/runtime/vars/tuning.yml").read_text().replace("{{ runtime_user }}", "edgeai")
        all_ways = yaml.safe_load(text)["__runtime_tuning_ways"]
        settings = tuning_settings(class_tuning(device_class), all_ways, {"power_mode": "MAXN_SUPER"})
        before = device.snapshot()
        result = device.tune(*settings)
        assert result["changed"] is True
        assert set(result["left_out"]) <= {"cpu_max_percent"}
        assert device.tune(*settings)["changed"] is False
        device.tune()
        assert device.snapshot() == before

    @pytest.mark.parametrize("device_class", CLASSES)
    def test_have_readmes_that_list_what_is_tuned(self, device_class: str) -> None:
        readme = (REPO / "roles" / device_class / "README.md").read_text(encoding="utf-8")
        for name, value in class_tuning(device_class).items():
            shown = {True: "on", False: "off"}.get(value, f"`{value}`")
            assert f"| `{name}` | {shown} |" in readme

    def test_never_touch_what_the_machine_boots_with(self) -> None:
        text = json.dumps(ways())
        for word in ("/boot", "cmdline", "grub", "extlinux", "fstab"):
            assert word not in text


OWN = {"cpu_governor": "performance", "power_mode": False, "jetson_clocks": True, "no_such_here": False}
HOW: Dict[str, Any] = {name: {"sysfs": name} for name in OWN}


class TestTheInventory:
    @pytest.mark.parametrize(
        ("choices", "expected"),
        [
            ({}, {"cpu_governor": "performance", "jetson_clocks": None}),
            ({"cpu_governor": False, "jetson_clocks": False}, {}),
            (
                {"cpu_governor": True, "jetson_clocks": True},
                {"cpu_governor": "performance", "jetson_clocks": None},
            ),
            ({"power_mode": 2}, {"cpu_governor": "performance", "power_mode": "2", "jetson_clocks": None}),
            (
                {"power_mode": 0, "zram": 50},
                {"cpu_governor": "performance", "power_mode": "0", "jetson_clocks": None},
            ),
        ],
    )
    def test_goes_before_the_class(self, choices: Dict[str, Any], expected: Dict[str, Any]) -> None:
        settings = tuning_settings(OWN, HOW, choices)
        assert {setting["name"]: setting.get("value") for setting in settings} == expected

    @pytest.mark.parametrize(
        ("tuning", "said"),
        [
            ({"cpu_govenor": False}, "unknown setting cpu_govenor; did you mean cpu_governor?"),
            ({"x": False}, "unknown setting x; there are access_times, cpu_governor"),
            ({"no_unattended_upgrades": "yes"}, "no_unattended_upgrades is 'yes', but it has no value"),
            ({"power_mode": True}, "power_mode is true, and jetson has no value for it; give one."),
            ({"journal": None}, "journal is 'None'; give a value, or false"),
            ("off", "runtime_tuning is 'off', expected names with values"),
        ],
    )
    def test_that_is_wrong_is_told_before_a_device_is_touched(self, tuning: Any, said: str) -> None:
        (refusal,) = tuning_refusals("jetson", tuning)
        assert said in refusal

    @pytest.mark.parametrize(
        "tuning", [{}, {"zram": 25}, {"watchdog": False}, {"journal": True, "power_mode": 0}]
    )
    def test_that_is_right_is_not_refused(self, tuning: Any) -> None:
        assert tuning_refusals("jetson", tuning) == []
