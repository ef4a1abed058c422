"""How much memory is free, on machines made of files."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from lossbench.memory import available_mib, peak_mib

MIB = 2**20
UNLIMITED = 2**63 - 4096  # what version 1 says of a group without a limit


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A machine with 1000 MiB free."""
    made = tmp_path / "proc"
    (made / "self").mkdir(parents=True)
    (made / "meminfo").write_text("MemTotal:  4096000 kB\nMemFree:  1000 kB\nMemAvailable:  1024000 kB\n")
    return made


def group(folder: Path, files: Mapping[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(f"{content}\n")


def unified(folder: Path, limit: int | str, used: int, cache: int = 0) -> None:
    stat = f"anon 5\ninactive_file {cache * MIB}"
    most = limit if isinstance(limit, str) else limit * MIB
    group(folder, {"memory.max": most, "memory.current": used * MIB, "memory.stat": stat})


def legacy(folder: Path, limit: int, used: int, cache: int = 0) -> None:
    stat = f"inactive_file 0\ntotal_inactive_file {cache * MIB}"
    most = min(limit * MIB, UNLIMITED)
    group(folder, {"memory.limit_in_bytes": most, "memory.usage_in_bytes": used * MIB, "memory.stat": stat})


def test_a_machine_without_groups_has_what_it_says(proc: Path, tmp_path: Path) -> None:
    assert available_mib(proc, tmp_path / "cgroup") == 1000
    assert available_mib(tmp_path / "nothing", tmp_path / "cgroup") is None


@pytest.mark.parametrize("narrow", ["", "user.slice", "user.slice/job", "user.slice/job/step"])
@pytest.mark.parametrize("top", ["cgroup", "cgroup/unified"])
def test_the_narrowest_of_nested_groups_counts(proc: Path, tmp_path: Path, top: str, narrow: str) -> None:
    (proc / "self" / "cgroup").write_text("1:cpu:/other\n0::/user.slice/job/step\n")
    for place in ("", "user.slice", "user.slice/job", "user.slice/job/step"):
        unified(tmp_path / top / place, 300 if place == narrow else "max", used=100)
    assert available_mib(proc, tmp_path / "cgroup") == 200


@pytest.mark.parametrize("narrow", ["", "docker", "docker/c0ffee"])
def test_so_it_does_in_groups_of_version_1(proc: Path, tmp_path: Path, narrow: str) -> None:
    (proc / "self" / "cgroup").write_text("4:memory:/docker/c0ffee\n3:cpu,cpuacct:/elsewhere\n0::/\n")
    for place in ("", "docker", "docker/c0ffee"):
        legacy(tmp_path / "cgroup" / "memory" / place, 300 if place == narrow else 2**50, used=250)
    assert available_mib(proc, tmp_path / "cgroup") == 50


def test_a_container_that_is_told_the_path_of_its_host_finds_its_own_limit(proc: Path, tmp_path: Path) -> None:
    (proc / "self" / "cgroup").write_text("0::/../../kubepods/pod7\n")
    unified(tmp_path / "cgroup", 500, used=100)
    assert available_mib(proc, tmp_path / "cgroup") == 400


def test_cache_is_given_up_on_demand_and_too_much_used_is_none_free(proc: Path, tmp_path: Path) -> None:
    (proc / "self" / "cgroup").write_text("0::/job\n4:memory:/job\n")
    unified(tmp_path / "cgroup" / "job", 300, used=290, cache=250)
    assert available_mib(proc, tmp_path / "cgroup") == 260
    legacy(tmp_path / "cgroup" / "memory" / "job", 300, used=290, cache=100)
    assert available_mib(proc, tmp_path / "cgroup") == 110
    unified(tmp_path / "cgroup" / "job", 300, used=301)
    assert available_mib(proc, tmp_path / "cgroup") == 0


def test_the_peak_of_this_process_is_known_on_linux(tmp_path: Path) -> None:
    assert 10 < peak_mib() < 2**20
    assert peak_mib(tmp_path) == 0
