"""What this process may still have, of the machine and of its control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeai_runtime.monitor.memory import free_mb

MIB = 1 << 20


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """One with 100 MiB to spare; this process is in the group /a/b."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 204800 kB\nMemAvailable:  102400 kB\n")
    (tmp_path / "proc/self/cgroup").write_text("0::/a/b\n")
    return tmp_path


def limit(machine: Path, group: str, limit: str, current: int, cached: int = 0) -> None:
    place = machine / "sys/fs/cgroup" / group
    place.mkdir(parents=True, exist_ok=True)
    (place / "memory.max").write_text(f"{limit}\n")
    (place / "memory.current").write_text(f"{current}\n")
    (place / "memory.stat").write_text(f"anon 17\ninactive_file {cached}\nactive_file 3\n")


def test_where_no_group_is_limited_it_is_what_the_machine_has(machine: Path) -> None:
    limit(machine, "a/b", "max", 5 * MIB)
    assert free_mb(machine) == 100


def test_of_several_limits_the_closest_counts(machine: Path) -> None:
    limit(machine, "a", str(60 * MIB), 30 * MIB, cached=10 * MIB)
    assert free_mb(machine) == 40
    limit(machine, "a/b", str(50 * MIB), 20 * MIB)
    assert free_mb(machine) == 30
    limit(machine, "a/b", str(500 * MIB), 20 * MIB)
    assert free_mb(machine) == 40
    limit(machine, "a/b", str(10 * MIB), 20 * MIB)
    assert free_mb(machine) == 0


def test_the_older_kind_of_groups_says_nothing(machine: Path) -> None:
    (machine / "proc/self/cgroup").write_text("4:memory:/a/b\n")
    assert free_mb(machine) == 100


def test_a_kernel_that_does_not_tell_admits_everything(tmp_path: Path) -> None:
    assert free_mb(tmp_path) is None


def test_on_this_machine_it_is_some() -> None:
    found = free_mb()
    assert found is not None
    assert found > 1
