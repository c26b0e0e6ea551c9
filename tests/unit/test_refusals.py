"""What is refused before a device is touched, each in one sentence that says what to do."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest
from ansible_collections.edgeai.fleet.plugins.filter.device_refusals import device_refusals
from ansible_collections.edgeai.fleet.plugins.filter.inventory_refusals import inventory_refusals
from ansible_collections.edgeai.fleet.plugins.filter.rollout_refusals import rollout_refusals

PI = {"name": "raspberry_pi", "architectures": ["aarch64"], "detected": ["raspberry_pi"]}
PC = {"name": "industrial_pc", "architectures": ["x86_64", "aarch64"], "detected": ["industrial_pc", None]}
BUNDLE = {"locks": {"aarch64-cp311-cpu": {"sha256": "a", "glibc": "2.28"}, "supervisor": {"sha256": "b"}}}


def measured(**other: Any) -> Dict[str, Any]:
    """A Raspberry Pi 5 as device_info measures it."""
    return {
        "architecture": "aarch64",
        "python": {"version": "3.11", "implementation": "CPython", "bits": 64},
        "glibc": "2.36",
        "target": "aarch64-cp311-cpu",
        "memory_mb": 8000,
        "disk_free_mb": 20000,
        "model": "Raspberry Pi 5 Model B Rev 1.0",
        "detected_class": "raspberry_pi",
        **other,
    }


def only(refusals: List[str]) -> str:
    """The one sentence there is."""
    assert len(refusals) == 1
    assert refusals[0].endswith(".")
    return refusals[0]


class TestADevice:
    def test_that_fits_is_not_refused(self) -> None:
        assert device_refusals(measured(), BUNDLE, PI, need={"disk_mb": 20000, "memory_mb": 8000}) == []

    def test_with_a_32_bit_userland_is_told_to_take_the_64_bit_image(self) -> None:
        narrow = measured(python={"version": "3.11", "implementation": "CPython", "bits": 32}, target=None)
        assert "32-bit" in only(device_refusals(narrow, BUNDLE, PI))

    def test_with_the_python_of_jetpack_4_hears_which_package_to_install(self) -> None:
        nano = measured(
            python={"version": "3.6", "implementation": "CPython", "bits": 64},
            target="aarch64-cp36-cpu",
            glibc="2.27",
            jetpack=4,
        )
        said = only(device_refusals(nano, BUNDLE, {**PI, "detected": ["raspberry_pi"]}))
        assert said.startswith("its Python is 3.6, and the runtime needs 3.8 or newer")
        assert "runtime_python; on JetPack 4 that is Ubuntu's package python3.8." in said

    def test_with_an_old_python_elsewhere_hears_nothing_of_jetpacks(self) -> None:
        old = measured(python={"version": "3.7", "implementation": "CPython", "bits": 64})
        assert only(device_refusals(old, BUNDLE, PI)).endswith("name it in runtime_python.")

    def test_without_a_lock_for_its_python_hears_which_locks_there_are(self) -> None:
        old = measured(target="aarch64-cp39-cpu")
        said = only(device_refusals(old, BUNDLE, PI))
        assert "no lock for aarch64-cp39-cpu" in said
        assert "it has aarch64-cp311-cpu:" in said

    def test_with_another_interpreter_than_cpython_hears_what_it_has(self) -> None:
        pypy = measured(python={"version": "3.10", "implementation": "PyPy", "bits": 64}, target=None)
        assert "PyPy 3.10 on aarch64" in only(device_refusals(pypy, BUNDLE, PI))

    @pytest.mark.parametrize("glibc", ["2.9", "2.27", ""])
    def test_with_an_older_glibc_hears_which_it_needs(self, glibc: str) -> None:
        assert "needs 2.28 or newer" in only(device_refusals(measured(glibc=glibc), BUNDLE, PI))

    def test_without_python_hears_which_to_install(self) -> None:
        none = measured(python=None, target=None, glibc="")
        assert "install Python 3.8 or newer" in only(device_refusals(none, BUNDLE, PI))

    def test_with_too_little_disk_hears_both_figures(self) -> None:
        said = only(device_refusals(measured(disk_free_mb=900), BUNDLE, PI, need={"disk_mb": 1700.4}))
        assert "900 MiB of free disk" in said
        assert "need 1700 MiB" in said

    def test_with_too_little_memory_hears_both_figures(self) -> None:
        said = only(device_refusals(measured(memory_mb=400), BUNDLE, PI, need={"memory_mb": 850}))
        assert "400 MiB of memory" in said
        assert "runtime_memory_reserve_mb" in said

    def test_of_another_class_than_its_hardware_is_refused(self) -> None:
        jetson = measured(detected_class="jetson", model="NVIDIA Jetson Orin Nano")
        said = only(device_refusals(jetson, BUNDLE, PI))
        assert "its class is raspberry_pi, but the hardware is jetson (NVIDIA Jetson Orin Nano" in said

    def test_simulated_hardware_is_not_compared_with_the_class_but_still_measured(self) -> None:
        pc = measured(detected_class="industrial_pc", memory_mb=100)
        said = only(device_refusals(pc, BUNDLE, PI, hardware="simulated", need={"memory_mb": 500}))
        assert "100 MiB of memory" in said

    def test_unknown_boards_may_be_industrial_pcs(self) -> None:
        assert device_refusals(measured(detected_class=None, model=""), BUNDLE, PC) == []

    def test_target_of_the_inventory_replaces_the_measured_one(self) -> None:
        assert "no lock for aarch64-cp313-cpu" in only(
            device_refusals(measured(), BUNDLE, PI, target="aarch64-cp313-cpu")
        )

    def test_without_a_bundle_in_check_mode_is_not_asked_for_a_lock(self) -> None:
        assert device_refusals(measured(target="aarch64-cp39-cpu"), {"locks": {}}, PI) == []

    def test_hears_everything_at_once(self) -> None:
        bad = measured(detected_class=None, memory_mb=1, disk_free_mb=1, target="aarch64-cp39-cpu")
        assert len(device_refusals(bad, BUNDLE, PI, need={"disk_mb": 2, "memory_mb": 2})) == 4


def host(**other: Any) -> Dict[str, Any]:
    return {"runtime_class": "jetson", "runtime_http": "0.0.0.0:8080", **other}


class TestAnInventory:
    def test_that_is_right_is_not_refused(self) -> None:
        assert inventory_refusals(["a", "b"], {"a": host(), "b": host(runtime_class="raspberry_pi")}) == []

    @pytest.mark.parametrize("device_class", [None, "", "rasberry_pi", "pi"])
    def test_without_a_known_class_hears_which_there_are(self, device_class: Any) -> None:
        said = only(inventory_refusals(["a"], {"a": host(runtime_class=device_class)}))
        assert said.startswith("a: runtime_class is ")
        assert "industrial_pc, jetson, raspberry_pi" in said

    def test_with_a_root_too_long_for_its_sockets_is_refused(self) -> None:
        assert inventory_refusals(["a"], {"a": host(runtime_root="/" + 59 * "x")}) == []
        assert "61 characters" in only(inventory_refusals(["a"], {"a": host(runtime_root="/" + 60 * "x")}))

    def test_with_a_line_that_only_some_have_hears_who_has_none(self) -> None:
        fleet = {"a": host(runtime_line="line-1"), "b": host(ansible_host="10.0.0.8")}
        assert only(inventory_refusals(["a", "b"], fleet)).startswith("b: runtime_line is missing")

    def test_with_a_relative_root_is_refused(self) -> None:
        assert "a relative path" in only(inventory_refusals(["a"], {"a": host(runtime_root="device")}))

    @pytest.mark.parametrize("http", ["8080", "0.0.0.0", "0.0.0.0:0", "0.0.0.0:65536", "a b:1", "::1:80"])
    def test_with_an_address_nobody_can_listen_on_is_refused(self, http: str) -> None:
        assert "expected an address and a port" in only(
            inventory_refusals(["a"], {"a": host(runtime_http=http)})
        )

    @pytest.mark.parametrize("token", ["too-small", "with a space in it", "ümlauts-are-no-ascii"])
    def test_with_a_token_that_is_none_is_refused_without_showing_it(self, token: str) -> None:
        said = only(inventory_refusals(["a"], {"a": host(runtime_tokens=["x" * 16, token])}))
        assert said.startswith("a: 1 of runtime_tokens are shorter than 16 characters")
        assert token not in said

    def test_with_half_of_a_certificate_is_refused(self) -> None:
        said = only(inventory_refusals(["a"], {"a": host(runtime_certificate="service.crt")}))
        assert "one is missing; give both or none" in said

    def test_with_two_devices_on_one_port_of_one_machine_is_refused(self) -> None:
        local = {"ansible_connection": "local"}
        fleet = {
            "a": host(**local, runtime_root="/a", runtime_http="127.0.0.1:9001"),
            "b": host(**local, runtime_root="/b", runtime_http="0.0.0.0:9001"),
        }
        said = only(inventory_refusals(["a", "b"], fleet))
        assert said.startswith("a and b: on this machine both have port 9001")

    def test_with_two_names_for_one_device_is_refused(self) -> None:
        fleet = {name: host(ansible_host="10.0.0.7") for name in ("a", "b")}
        assert len(inventory_refusals(["a", "b"], fleet)) == 2  # the port and the root

    def test_with_one_port_on_two_machines_is_right(self) -> None:
        fleet = {"a": host(ansible_host="10.0.0.7"), "b": host(ansible_host="10.0.0.8")}
        assert inventory_refusals(["a", "b"], fleet) == []

    @pytest.mark.parametrize(
        ("typed", "meant"),
        [
            ("runtime_clas", "runtime_class"),
            ("runtime_pyhton", "runtime_python"),
            ("release_cannaries", "release_canaries"),
            ("release_soak", "release_soak_s"),
            ("depot_directroy", "depot_directory"),
            ("bundle_target", "bundle_targets"),
        ],
    )
    def test_with_a_mistyped_variable_hears_the_nearest_known_one(self, typed: str, meant: str) -> None:
        said = inventory_refusals(["a"], {"a": host(**{typed: "x"})})
        assert said == [f"a: the variable {typed} is unknown; did you mean {meant}?"]

    def test_with_somebody_elses_variables_is_right(self) -> None:
        theirs = {"runtime_user_shell_theme": 1, "release_notes_url": 2, "depot": 3, "bundler_version": 4}
        assert inventory_refusals(["a"], {"a": host(**theirs)}) == []


class TestARollout:
    def test_that_is_right_is_not_refused(self) -> None:
        assert rollout_refusals(["a"], {"a": {}}, "reader", 300, 600, version="1.0.0") == []

    def test_needs_a_name_and_a_version(self) -> None:
        said = rollout_refusals(["a"], {"a": {}}, "", 300, 600, version="")
        assert [sentence.split()[0] for sentence in said] == ["release_name", "release_version"]

    def test_needs_no_version_to_go_back(self) -> None:
        assert rollout_refusals(["a"], {"a": {}}, "reader") == []

    @pytest.mark.parametrize("soak_s", [600, 700])
    def test_that_soaks_past_its_deadline_is_refused(self, soak_s: float) -> None:
        said = only(rollout_refusals(["a"], {"a": {}}, "reader", soak_s, 600, version="1.0.0"))
        assert "give a longer deadline" in said

    def test_with_a_mistyped_extra_variable_hears_it_once(self) -> None:
        fleet = {name: {"release_verison": "1.0.0"} for name in ("a", "b")}
        said = rollout_refusals(["a", "b"], fleet, "reader", version="")
        assert said[0] == "the variable release_verison is unknown; did you mean release_version?"
        assert len(said) == 2

    def test_with_a_variable_mistyped_for_some_devices_hears_for_which(self) -> None:
        fleet = {"a": {"runtime_lien": 1}, "b": {}, "c": {"runtime_lien": 2}}
        (said,) = rollout_refusals(list(fleet), fleet, "reader")
        assert said == "a, c: the variable runtime_lien is unknown; did you mean runtime_line?"
