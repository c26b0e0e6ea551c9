"""The depot's settings that do not go together, and what nginx is told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Callable, Dict

import pytest

TEMPLATE = Path(__file__).resolve().parents[2] / "roles/depot/templates/depot.conf.j2"
HERE = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
WITH_TLS = {"depot_server": "nginx", "depot_certificate": "/c.pem", "depot_key": "/k.pem"}

Play = Callable[..., Any]


def inventory(variables: Dict[str, Any]) -> Dict[str, Any]:
    return {"all": {"hosts": {"depot": {**HERE, **variables}}}}


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"depot_http": "depot.factory:9000"}, "an address and a port, in numbers"),
        ({**WITH_TLS, "depot_server": "embedded"}, "the embedded server does not do TLS"),
        ({**WITH_TLS, "depot_key": ""}, "depot_certificate and depot_key belong together"),
        ({**WITH_TLS, "depot_root": "/tmp/depot"}, "nginx serves for the whole machine"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    play: Play, variables: Dict[str, Any], said: str
) -> None:
    role = {"name": "Serve", "ansible.builtin.import_role": {"name": "edgeai.fleet.depot"}}
    done = play([{"hosts": "depot", "gather_facts": False, "tasks": [role]}], inventory(variables))
    assert done.returncode != 0
    assert said in done.stdout
    assert "Measure the depot's machine" not in done.stdout


@pytest.mark.parametrize(
    ("variables", "listen"),
    [(WITH_TLS, "listen [2001:db8::1]:443 ssl;"), ({"depot_certificate": ""}, "listen [2001:db8::1]:443;")],
)
def test_nginx_does_tls_with_a_certificate(
    play: Play, tmp_path: Path, variables: Dict[str, Any], listen: str
) -> None:
    given = {
        "depot_http": "[2001:db8::1]:443",
        "depot_directory": "/srv/bundle",
        "depot_client_mb_s": 20,
        "__depot_etc": "/etc/edgeai/depot",
        **variables,
    }
    write = {"ansible.builtin.template": {"src": str(TEMPLATE), "dest": str(tmp_path / "depot.conf")}}
    done = play([{"hosts": "depot", "gather_facts": False, "tasks": [write]}], inventory(given))
    assert done.returncode == 0, done.stdout
    written = (tmp_path / "depot.conf").read_text()
    assert listen in written
    assert "limit_rate 20m;" in written
    assert "rate=320r/s;" in written
    assert ("ssl_certificate_key" in written) is bool(variables["depot_certificate"])
