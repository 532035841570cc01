"""What a machine is said to have: in a container, what the container may have."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from experiments.hardware import machine
from experiments.hardware.machine import cores, device_memory, disk_free, host_memory, measure_speed, peak_memory

PHYSICAL = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def tree(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def test_without_control_groups_memory_is_the_machine_s(tmp_path: Path) -> None:
    assert host_memory(tmp_path) == PHYSICAL


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "4096\n"}, 4096),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/memory.max": "max\n",
                "sys/fs/cgroup/a/memory.max": "8192",
            },
            8192,
        ),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "4096\n"}, 4096),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, PHYSICAL),
        (
            {
                "proc/self/cgroup": "5:cpu:/x\n4:memory:/docker/abc\n0::/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "12288\n",
            },
            12288,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            PHYSICAL,
        ),
    ],
)
def test_the_tightest_limit_of_a_control_group_counts(tmp_path: Path, files: dict[str, str], limit: int) -> None:
    assert host_memory(tree(tmp_path, **files)) == limit


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores are bound on Linux")
@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({}, 8),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "200000 100000\n"}, 2),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}, 8),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
                "sys/fs/cgroup/a/cpu.max": "250000 100000\n",
            },
            3,
        ),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "1000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "9900000 100000\n"}, 8),
        (
            {
                "proc/self/cgroup": "5:cpu,cpuacct:/docker/abc\n4:cpuset:/x\n0::/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "150000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "50000\n",
            },
            3,
        ),
        (
            {
                "proc/self/cgroup": "5:cpu,cpuacct:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            8,
        ),
    ],
)
def test_a_quota_of_time_is_as_many_cores_as_it_keeps_busy(
    tmp_path: Path, files: dict[str, str], count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    assert cores(tree(tmp_path, **files)) == count


def test_free_disk_is_that_of_the_nearest_folder_there_is(tmp_path: Path) -> None:
    free, where = disk_free(tmp_path / "runs" / "deep")
    assert where == tmp_path
    assert free > 0


def test_gpus_tell_their_memory_and_cores_of_a_cpu_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = SimpleNamespace(memory_stats=lambda: {"bytes_limit": 100, "peak_bytes_in_use": 7})
    core = SimpleNamespace(memory_stats=lambda: None)
    monkeypatch.setattr(machine.jax, "local_devices", lambda: [gpu, gpu])
    assert (device_memory(), peak_memory()) == (200, 14)
    monkeypatch.setattr(machine.jax, "local_devices", lambda: [core, core])
    assert device_memory() is None
    peak = peak_memory()
    assert peak is not None
    assert 2**20 < peak < PHYSICAL


def test_a_trial_finds_a_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(machine._TRIED, "cpu", 8)
    found = measure_speed()
    assert found.matrix > 0
    assert found.compile > 0
    assert found.launch >= 0
    assert cores() >= 1
