"""What actions and modules ask a device's `edgeai`, and how its answer becomes Ansible's."""

from __future__ import annotations

import importlib
import socket
from typing import Any, ClassVar, Dict, List

import pytest
import yaml
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import local
from ansible_collections.edgeai.fleet.plugins.plugin_utils import device_command

DONE = {"ok": True, "changed": True, "actions": ["did it"]}
TRIED = {
    "ok": True,
    "changed": True,
    "phase": "trial",
    "generation": 4,
    "verdict": {
        "gates": [
            {"gate": "exact_match", "measured": 0.975, "required": 0.95, "passed": True},
            {"gate": "p99_ms", "measured": 41.23456, "required": 1500.0, "passed": True},
        ]
    },
    "actions": ["switched to generation 4"],
}
CONFIRMED = {"ok": True, "changed": False, "phase": "confirmed", "generation": 3, "actions": ["is confirmed"]}


@pytest.mark.parametrize(
    ("module", "arguments", "asked"),
    [
        ("release", {"name": "reader", "version": "1.0.0"}, ["fetch", "reader", "1.0.0"]),
        ("model_convert", {"name": "reader", "version": "1.0.0"}, ["convert", "reader", "1.0.0"]),
        (
            "generation",
            {"state": "trial", "name": "reader", "version": "1.0.0", "deadline_s": 60},
            ["trial", "--release", "reader", "1.0.0", "--deadline", "60.0"],
        ),
        (
            "generation",
            {"state": "trial", "environment": "abc"},
            ["trial", "--environment", "abc", "--deadline", "600.0"],
        ),
        ("generation", {"state": "soaked", "soak_s": 5}, ["soak", "--seconds", "5.0"]),
        ("generation", {"state": "confirmed"}, ["confirm"]),
        (
            "generation",
            {"state": "rolled_back", "name": "reader"},
            ["rollback", "--release", "reader"],
        ),
        (
            "generation",
            {"state": "rolled_back", "name": "reader", "version": "1.0.0"},
            ["rollback", "--release", "reader", "--to", "1.0.0"],
        ),
    ],
)
def test_arguments_become_the_devices_command(
    device: Any, run_action: Any, module: str, arguments: Dict[str, Any], asked: List[str]
) -> None:
    device.answers(DONE)
    result = run_action(module, root=str(device.root), **arguments)
    assert device.asked == [asked]
    assert result["changed"] is True
    assert result["actions"] == ["did it"]
    assert result["msg"] == "did it"
    assert result["diff"] == {"prepared": "+ did it\n"}
    assert "ok" not in result


class TestALongConversion:
    ARGUMENTS: ClassVar[Dict[str, str]] = {"name": "reader", "version": "1.0.0"}

    def test_tells_how_it_goes(
        self, device: Any, run_action: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        device.answers(DONE)
        variables = {"inventory_hostname": "line1-pi"}
        run_action("model_convert", root=str(device.root), variables=variables, **self.ARGUMENTS)
        assert "    [line1-pi] halfway\n" in capsys.readouterr().out

    def test_survives_a_connection_that_is_lost(
        self, device: Any, run_action: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        device.answers(DONE)
        lose_connections(monkeypatch, 2)
        result = run_action("model_convert", root=str(device.root), **self.ARGUMENTS)
        assert (result["changed"], result["actions"]) == (True, ["did it"])
        assert device.asked == [["convert", "reader", "1.0.0"]], "it was begun once"

    def test_of_a_device_that_stays_away_ends(
        self, device: Any, run_action: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        device.answers(DONE)
        monkeypatch.setattr(device_command, "PATIENCE_S", 0.0)
        lose_connections(monkeypatch, 1000)
        result = run_action("model_convert", root=str(device.root), **self.ARGUMENTS)
        assert (result["failed"], result["unreached"]) == (True, True)

    def test_that_fails_says_why(self, device: Any, run_action: Any) -> None:
        device.answers({"ok": False, "error": {"kind": "convert", "message": "it cannot be converted."}})
        result = run_action("model_convert", root=str(device.root), **self.ARGUMENTS)
        assert (result["failed"], result["msg"], result["kind"]) == (
            True,
            "it cannot be converted.",
            "convert",
        )


def lose_connections(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """So often, when it is waited for a job."""
    left = iter(range(times))
    execute = local.Connection.exec_command

    def lost(connection: Any, command: str, *args: Any, **options: Any) -> Any:
        if "job wait" in command and next(left, None) is not None:
            raise AnsibleConnectionFailure("Connection timed out")
        return execute(connection, command, *args, **options)

    monkeypatch.setattr(local.Connection, "exec_command", lost)
    monkeypatch.setattr(device_command, "RETRY_S", 0.0)


def test_what_differs_from_the_last_conversion_is_a_diff(device: Any, run_action: Any) -> None:
    device.answers({**DONE, "differs": {"threads": ["1", "2"], "packages.onnx": ["1.17", "1.19"]}})
    result = run_action("model_convert", root=str(device.root), name="reader", version="1.0.0")
    assert result["diff"]["before"] == "packages.onnx: 1.17\nthreads: 1\n"
    assert result["diff"]["after"] == "packages.onnx: 1.19\nthreads: 2\n"


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("release", {"name": "reader", "version": "1.0.0"}),
        ("model_convert", {"name": "reader", "version": "1.0.0"}),
        ("generation", {"state": "trial", "name": "reader", "version": "1.0.0"}),
        ("generation", {"state": "confirmed"}),
        ("generation", {"state": "rolled_back", "name": "reader"}),
    ],
)
class TestEveryChange:
    def test_tells_the_device_who_asks_and_for_which_rollout(
        self,
        device: Any,
        run_action: Any,
        monkeypatch: pytest.MonkeyPatch,
        module: str,
        arguments: Any,
    ) -> None:
        monkeypatch.setenv("SUDO_USER", "anna")
        device.answers(DONE, DONE)
        run_action(module, root=str(device.root), **arguments)
        assert device.told_actor == f"anna@{socket.gethostname()}"
        rollout = {"release_rollout_id": "CHG 4711"}
        run_action(module, root=str(device.root), variables=rollout, **arguments)
        assert device.told_actor == f"anna@{socket.gethostname()}, rollout CHG 4711"

    def test_asks_for_a_prediction_in_check_mode(
        self, device: Any, run_action: Any, module: str, arguments: Any
    ) -> None:
        device.answers({"ok": True, "changed": True, "actions": ["would do it"]})
        result = run_action(module, check=True, root=str(device.root), **arguments)
        assert device.asked[0][-1] == "--check"
        assert result["msg"] == "would do it"

    def test_predicts_a_change_on_a_device_with_nothing_on_it(
        self, device: Any, run_action: Any, module: str, arguments: Any
    ) -> None:
        result = run_action(module, check=True, root=str(device.root), **arguments)
        assert result["changed"] is True
        assert result["msg"].startswith("would ")

    def test_fails_in_one_sentence_on_a_device_with_nothing_on_it(
        self, device: Any, run_action: Any, module: str, arguments: Any
    ) -> None:
        result = run_action(module, root=str(device.root), **arguments)
        assert result["failed"] is True
        assert result["kind"] == "not_provisioned"
        assert "run the playbook edgeai.fleet.provision for it first" in result["msg"]

    def test_fails_with_the_devices_own_sentence(
        self, device: Any, run_action: Any, module: str, arguments: Any
    ) -> None:
        error = {"kind": "gate_failed", "message": "Not good enough.", "details": {"gates": [1]}}
        device.answers({"ok": False, "error": error}, status=1)
        result = run_action(module, root=str(device.root), **arguments)
        assert (result["failed"], result["msg"], result["kind"]) == (True, "Not good enough.", "gate_failed")
        assert result["details"] == {"gates": [1]}

    def test_reports_no_change_when_the_device_did_not(
        self, device: Any, run_action: Any, module: str, arguments: Any
    ) -> None:
        device.answers({"ok": True, "changed": False, "actions": []})
        result = run_action(module, root=str(device.root), **arguments)
        assert result["changed"] is False
        assert result["msg"]
        assert "diff" not in result


@pytest.mark.parametrize(
    "name", ["bundle_info", "device_report", "generation", "health_info", "model_convert", "release"]
)
def test_an_action_takes_what_its_documentation_says(name: str) -> None:
    documented = importlib.import_module(f"ansible_collections.edgeai.fleet.plugins.modules.{name}")
    action = importlib.import_module(f"ansible_collections.edgeai.fleet.plugins.action.{name}")
    described = yaml.safe_load(documented.DOCUMENTATION).get("options", {})
    for option in described.values():
        del option["description"]
    assert described == action.ActionModule.OPTIONS


def test_a_device_is_where_its_inventory_says_unless_the_task_says_otherwise(
    device: Any, run_action: Any
) -> None:
    device.answers(DONE, DONE)
    asked = {"name": "reader", "version": "1.0.0"}
    assert run_action("release", variables={"runtime_root": str(device.root)}, **asked)["changed"] is True
    elsewhere = {"runtime_root": "/nowhere"}
    assert run_action("release", variables=elsewhere, root=str(device.root), **asked)["changed"] is True
    assert (
        "/nowhere/opt/edgeai/bin/edgeai is not there"
        in run_action("release", variables=elsewhere, **asked)["msg"]
    )


def test_a_command_without_an_answer_is_told_with_its_last_words(device: Any, run_action: Any) -> None:
    device.answers(status=3, stderr="lots\nof words\nImportError: no numpy\n")
    result = run_action("release", root=str(device.root), name="reader", version="1.0.0")
    assert "status 3 and without an answer (ImportError: no numpy)" in result["msg"]
    assert "run it by hand to see more" in result["msg"]


def test_devices_that_did_the_same_say_the_same(device: Any, run_action: Any) -> None:
    device.answers(
        {"ok": True, "changed": True, "actions": [f"installed {device.root}/opt/edgeai/bin/keeper"]}
    )
    result = run_action("release", root=str(device.root), name="reader", version="1.0.0")
    assert result["actions"] == ["installed opt/edgeai/bin/keeper"]


class TestAGeneration:
    def test_to_be_confirmed_is_tried_watched_and_confirmed(self, device: Any, run_action: Any) -> None:
        soaked = {"ok": True, "changed": False, "requests": 7, "errors": 0, "actions": ["watched"]}
        device.answers(
            TRIED, soaked, {"ok": True, "changed": True, "generation": 4, "actions": ["confirmed"]}
        )
        result = run_action(
            "generation", root=str(device.root), state="confirmed", name="reader", version="1.0.0", soak_s=1
        )
        assert [call[0] for call in device.asked] == ["trial", "soak", "confirm"]
        assert result["changed"] is True
        assert result["actions"][1:] == ["switched to generation 4", "watched", "confirmed"]
        assert (result["requests"], result["generation"]) == (7, 4)

    def test_that_is_confirmed_is_left_alone(self, device: Any, run_action: Any) -> None:
        device.answers(CONFIRMED)
        result = run_action(
            "generation", root=str(device.root), state="confirmed", environment="abc", soak_s=1
        )
        assert [call[0] for call in device.asked] == ["trial"]
        assert result["changed"] is False

    def test_tells_what_was_measured_and_what_is_required(self, device: Any, run_action: Any) -> None:
        device.answers(TRIED)
        result = run_action("generation", root=str(device.root), state="trial", name="r", version="1.0.0")
        assert result["measured"] == "exact_match 0.975 (required 0.95), p99_ms 41.23 (required 1500)"
        assert result["actions"][0] == f"measured {result['measured']}"

    def test_is_not_watched_in_check_mode(self, device: Any, run_action: Any) -> None:
        device.answers(DONE)
        result = run_action("generation", check=True, root=str(device.root), state="soaked", soak_s=300)
        assert device.asked == []
        assert result["changed"] is False

    def test_in_check_mode_ends_at_the_first_change(self, device: Any, run_action: Any) -> None:
        device.answers(TRIED)
        run_action(
            "generation", check=True, root=str(device.root), state="confirmed", name="r", version="1.0.0"
        )
        assert [call[0] for call in device.asked] == ["trial"]

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"state": "trial"}, "name, environment"),
            ({"state": "trial", "name": "reader"}, "reader needs a version"),
            ({"state": "confirmed", "name": "r", "version": "1", "environment": "a"}, "mutually exclusive"),
            ({"state": "soaked"}, "soak_s"),
            ({"state": "rolled_back"}, "name"),
        ],
    )
    def test_that_is_not_said_clearly_is_refused(
        self, device: Any, run_action: Any, arguments: Dict[str, Any], said: str
    ) -> None:
        result = run_action("generation", root=str(device.root), **arguments)
        assert said in result["msg"]
        assert device.asked == []


class TestHealth:
    def test_is_the_devices_own_report(self, device: Any, run_action: Any) -> None:
        report = {"generation": 3, "models": {"reader": "1.0.0"}, "verdict": "confirmed", "reason": None}
        device.answers({"ok": True, **report})
        result = run_action("health_info", root=str(device.root))
        assert result["health"] == report
        assert result["changed"] is False
        assert result["msg"] == "generation 3 with reader 1.0.0: confirmed"

    def test_gives_the_reason_of_a_verdict(self, device: Any, run_action: Any) -> None:
        device.answers(
            {"ok": True, "generation": 2, "models": {}, "verdict": "reverted", "reason": "it erred"}
        )
        result = run_action("health_info", root=str(device.root))
        assert result["msg"] == "generation 2 with no model: reverted (it erred)"

    def test_says_what_makes_a_device_fail(self, device: Any, run_action: Any) -> None:
        why = "95 % of the last minute's requests failed"
        report = {"generation": 2, "models": {}, "verdict": "confirmed"}
        device.answers({"ok": True, **report, "condition": "failing", "condition_reason": why})
        result = run_action("health_info", root=str(device.root))
        assert result["msg"] == f"generation 2 with no model: confirmed; failing: {why}"

    def test_of_a_bare_device_is_empty_in_check_mode(self, device: Any, run_action: Any) -> None:
        result = run_action("health_info", check=True, root=str(device.root))
        assert (result["provisioned"], result["health"]) == (False, {})


class TestABundle:
    def test_takes_its_arguments_to_the_workstations_edgeai(
        self, device: Any, run_module: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        device.answers({**DONE, "path": "/b"})
        monkeypatch.chdir(device.root)
        python = device.root / "python"
        python.write_text(
            f'#!/bin/sh\n[ "$1 $2" = "-m edgeai_runtime" ] && shift 2 && exec {device.command} "$@"\n'
        )
        python.chmod(0o755)
        result = run_module(
            "bundle",
            path="out",
            keys_dir="/k",
            cache_dir="/c",
            runtime_dir="/r",
            targets=["x", "y"],
            wheels={"y": "mine"},
            releases=["one", "/two"],
            controllers=["x86_64-cp311"],
            expires_days=3,
            python=str(python),
        )
        assert result["changed"] is True
        words = f"bundle build --output {device.root}/out --cache /c --runtime /r"
        words += f" --target x --target y --wheels y={device.root}/mine"
        words += f" --release {device.root}/one --release /two"
        words += " --controller x86_64-cp311 --expires-days 3 --keys /k"
        assert device.asked == [words.split()]


class TestSigning:
    """The modules that need nothing but keys."""

    @pytest.fixture
    def sign(self, device: Any, run_module: Any) -> Any:
        """Runs one of them with a workstation's `edgeai` that says which passphrase it was given."""
        python = device.root / "python"
        told = f'echo "$EDGEAI_PASSPHRASE" > {device.root}/given'
        python.write_text(f'#!/bin/sh\n{told}\nshift 2 && exec {device.command} "$@"\n')
        python.chmod(0o755)

        def run(module: str, **arguments: Any) -> Any:
            return run_module(module, keys_dir="/k", python=str(python), **arguments)

        return run

    @pytest.mark.parametrize(
        ("module", "arguments", "words"),
        [
            ("signing_key", {"name": "root-alice"}, "key new root-alice"),
            (
                "trust_root",
                {
                    "roles": {
                        "timestamp": {"keys": ["t-2"]},
                        "root": {"keys": ["alice", "/b/bob.pub"], "threshold": 2},
                    }
                },
                "trust-root set --expires-days 3650 --role root=2:alice,/b/bob.pub --role timestamp=1:t-2",
            ),
            (
                "revocation",
                {"name": "reader", "version": "1.0.0", "reason": "wrong"},
                "release revoke reader 1.0.0 --reason=wrong",
            ),
        ],
    )
    @pytest.mark.parametrize("check", [False, True])
    def test_takes_its_arguments_to_the_workstations_edgeai(
        self, device: Any, sign: Any, module: str, arguments: Any, words: str, check: bool
    ) -> None:
        device.answers(DONE)
        assert sign(module, check=check, passphrase="a secret", **arguments)["changed"] is True
        assert device.asked == [f"{words} --keys /k{' --check' if check else ''}".split()]
        assert (device.root / "given").read_text() == "a secret\n"

    def test_that_was_done_before_says_so(self, device: Any, sign: Any) -> None:
        device.answers({"ok": True, "changed": False, "actions": []})
        result = sign("signing_key", name="root-alice")
        assert (result["changed"], result["msg"]) == (False, "there is a key root-alice")

    def test_shows_no_passphrase(self, device: Any, sign: Any) -> None:
        error = {"kind": "bad_input", "message": "a secret is no passphrase", "details": {}}
        device.answers({"ok": False, "error": error}, status=1)
        result = sign("signing_key", name="root-alice", passphrase="a secret")
        assert "a secret" not in str(result)
