"""What a reader sees: the callback, in real runs."""

from __future__ import annotations

import re
from typing import Any, Dict, List

import pytest

LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
THREE: Dict[str, Any] = {"all": {"vars": LOCAL, "hosts": {"a": {}, "b": {}, "c": {}}}}


def one_play(*tasks: Dict[str, Any], **play: Any) -> List[Dict[str, Any]]:
    return [{"name": "Do it", "hosts": "all", "gather_facts": False, **play, "tasks": list(tasks)}]


def command(name: str, **other: Any) -> Dict[str, Any]:
    return {"name": name, "ansible.builtin.command": "true", **other}


def debug(name: str, message: str, **other: Any) -> Dict[str, Any]:
    return {"name": name, "ansible.builtin.debug": {"msg": message}, **other}


@pytest.fixture
def lines(play: Any) -> Any:
    """Everything a run writes, line by line, without the end's time."""

    def run(plays: List[Dict[str, Any]], *options: str, status: int = 0) -> List[str]:
        done = play(plays, THREE, *options)
        assert done.returncode == status, done.stdout + done.stderr
        return re.sub(r"in [\d.]+ s", "in T s", done.stdout).splitlines()

    return run


def test_a_play_a_task_and_the_end_are_a_line_each(lines: Any) -> None:
    assert lines(one_play(command("Act"), command("Look", changed_when=False))) == [
        "Do it: a, b, c",
        "  Act                                             changed",
        "  Look                                            ok",
        "",
        "Finished in T s on 3 hosts: 6 ok, 3 changed, 0 rescued, 0 failed, 0 unreachable.",
    ]


def test_hosts_are_named_where_it_did_not_go_alike(lines: Any) -> None:
    act = command("Act", changed_when="inventory_hostname != 'b'")
    assert "  Act                                             changed: a, c; ok: b" in lines(one_play(act))


def test_the_same_sentence_is_said_once_and_different_ones_with_their_hosts(lines: Any) -> None:
    said = lines(
        one_play(
            debug("Alike", "Done."), debug("Not", "{{ 'Odd' if inventory_hostname == 'b' else 'Even' }}.")
        )
    )
    assert said[1:6] == [
        "  Alike                                           ok",
        "      Done.",
        "  Not                                             ok",
        "      a, c: Even.",
        "      b: Odd.",
    ]


def test_what_was_skipped_and_what_only_sets_variables_is_silent(lines: Any) -> None:
    said = lines(
        one_play(
            command("Skipped", when=False),
            {"name": "Set", "ansible.builtin.set_fact": {"x": 1}},
            command("Act"),
        )
    )
    assert [line.split()[0] for line in said[1:2]] == ["Act"]


def test_a_task_done_once_for_all_names_no_host(lines: Any) -> None:
    assert "  Once                                            changed" in lines(
        one_play(command("Once", run_once=True))
    )


def test_a_failure_is_a_sentence_for_each_host(lines: Any) -> None:
    fail = {
        "name": "Try",
        "ansible.builtin.fail": {"msg": "Too hot; cool it."},
        "when": "inventory_hostname == 'b'",
    }
    said = lines(one_play(fail), status=2)
    assert said[1:3] == [
        "  Try                                             failed: b",
        "      b: Too hot; cool it.",
    ]
    assert said[-1].endswith("1 failed, 0 unreachable.")


def test_a_failed_command_tells_its_error(lines: Any) -> None:
    fail = {"name": "Try", "ansible.builtin.shell": "echo 'Error: no disk' >&2; echo usage >&2; exit 3"}
    assert "      it ended with status 3: Error: no disk" in lines(one_play(fail), status=2)


def test_a_file_that_is_not_valid_tells_why(lines: Any, tmp_path: Any) -> None:
    check = "sh -c 'echo no such colour >&2; echo it failed >&2; exit 1' %s"
    fail = {
        "name": "Try",
        "ansible.builtin.copy": {"content": "x", "dest": f"{tmp_path}/x", "validate": check},
    }
    said = lines(one_play(fail), status=2)
    assert "      what would have been written is not valid: no such colour" in said


def test_failed_items_tell_their_reasons(lines: Any) -> None:
    fail = {"name": "Try", "ansible.builtin.fail": {"msg": "No {{ item }}."}, "loop": ["x", "y"]}
    assert "      No x.; No y." in lines(one_play(fail), status=2)


def test_a_rescued_failure_is_told_and_is_no_failure_at_the_end(lines: Any) -> None:
    block = {"block": [{"name": "Try", "ansible.builtin.fail": {"msg": "No."}}], "rescue": [command("Mend")]}
    said = lines(one_play(block))
    assert "  Try                                             failed" in said
    assert "3 rescued, 0 failed" in said[-1]


def test_check_mode_is_said(lines: Any) -> None:
    assert lines(one_play(debug("Say", "x")), "--check")[0] == "Do it (check mode): a, b, c"


def test_each_batch_of_a_play_names_its_hosts(lines: Any) -> None:
    said = lines(one_play(command("Act"), serial=[1, 2]))
    assert [line for line in said if line.startswith("Do it")] == ["Do it: a", "Do it: b, c"]


def test_a_table_stands_as_it_is(lines: Any) -> None:
    said = lines(one_play(debug("Show", "x  y\n1  2\n\nAll well.", run_once=True)))
    assert said[1:7] == [
        "  Show                                            ok",
        "",
        "    x  y",
        "    1  2",
        "",
        "    All well.",
    ]


def test_verbose_shows_results_in_full(lines: Any) -> None:
    said = lines(one_play(command("Act")), "-v")
    assert any('"rc": 0' in line for line in said)


def test_many_hosts_are_counted(play: Any) -> None:
    many = {"all": {"vars": LOCAL, "hosts": {f"d{n}": {} for n in range(9)}}}
    done = play(one_play(debug("Say", "x")), many)
    assert done.stdout.startswith("Do it: d0, d1, d2, d3 and 5 more\n")


def test_nobody_meant_is_said(lines: Any) -> None:
    assert "  no host of the inventory is meant" in lines(one_play(command("Act"), hosts="nobody"))
