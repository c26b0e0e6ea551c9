from pathlib import Path

import pytest

from edgeai_runtime.errors import InputError
from edgeai_runtime.paths import Paths
from edgeai_runtime.settings import load_device

GOOD = """schema = 1
name = "line1-pi"
class = "raspberry_pi"
line = "line-1"
[depot]
url = "http://127.0.0.1:9000/"
[serve]
http = "127.0.0.1:9001"
"""


def _write(root: Path, text: str) -> Paths:
    paths = Paths(root)
    paths.etc.mkdir(parents=True)
    paths.device_toml.write_text(text)
    return paths


def test_a_device_knows_who_it_is(tmp_path: Path) -> None:
    device = load_device(_write(tmp_path, GOOD))
    assert (device.name, device.device_class, device.line) == ("line1-pi", "raspberry_pi", "line-1")
    assert (device.depot_url, device.http, device.threads) == ("http://127.0.0.1:9000", "127.0.0.1:9001", 1)


def test_a_device_knows_its_depots_mirrors_and_what_it_may_take(tmp_path: Path) -> None:
    more = '[depot]\nmirrors = ["http://127.0.0.1:9002/"]\nrate_limit = 2.5\n'
    device = load_device(_write(tmp_path, GOOD.replace("[depot]\n", more)))
    assert device.depot_mirrors == ("http://127.0.0.1:9002",)
    assert device.depot_rate_limit == 2_500_000


def test_a_device_has_its_own_rules_of_alarms(tmp_path: Path) -> None:
    own = GOOD + '[alarms]\nwear = false\n"disk" = { "below" = 2048, "clear" = 4096 }\n'
    rules = load_device(_write(tmp_path, own)).alarms
    assert (rules["disk"].below, "wear" in rules, "temperature" in rules) == (2048, False, True)


def test_a_device_that_was_not_provisioned_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not provisioned; run the provision playbook"):
        load_device(Paths(tmp_path))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("line =", "lines =", r"unknown key 'lines'; did you mean 'line'"),
        ("url =", "uri =", r"\[depot\]: unknown key 'uri'; did you mean 'url'"),
        ("[serve]", "[alarms]\nweer = false\n[serve]", "switch off; did you mean 'wear'"),
        ("schema = 1", "schema = 2", "schema 2 is unknown, expected 1"),
        ("schema = 1", "schema", "this is not TOML"),
        ('name = "line1-pi"\n', "", "the key 'name' is missing"),
    ],
)
def test_wrong_settings_are_refused_in_one_sentence(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        load_device(_write(tmp_path, GOOD.replace(old, new, 1)))
