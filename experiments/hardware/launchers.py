"""Which of a run's processes this one is, and where they meet: as configured, or as a launcher says.

SLURM (`srun`) says everything; Open MPI and MPICH (`mpirun`) say how many there are and which this is.
"""

import dataclasses
import os
import re
from collections.abc import Mapping

from arena.settings import DeviceSettings
from markets.errors import UserError

__all__ = ["Place", "find_place"]

_NUMBERED = (
    ("SLURM_PROCID", "SLURM_NTASKS"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
)
"""Where launchers say the number of a process and how many there are."""

_PORTS = (20_000, 10_000)
"""Ports that jobs of SLURM meet at: the first, and how many; below those a system hands out by itself."""


@dataclasses.dataclass(frozen=True)
class Place:
    """One process among those of a run.

    Attributes:
        number: of this process, from 0.
        count: how many there are.
        host, port: where process 0 awaits the others.
    """

    number: int
    count: int
    host: str
    port: int


def find_place(device: DeviceSettings, environment: Mapping[str, str] = os.environ) -> Place | None:
    """The place of this process; None where it is the only one.

    Args:
        device: what is configured goes before what a launcher says.
        environment: variables in which launchers speak.

    Raises:
        UserError: something is said neither by the configuration nor by a launcher.
    """
    if device.coordinator is None:
        return None
    number, count = device.process, device.processes
    for its_number, its_count in _NUMBERED:
        if its_number in environment and its_count in environment:
            number = int(environment[its_number]) if number is None else number
            count = int(environment[its_count]) if count is None else count
            break
    for key, value, right in (("processes", count, "how many there are"), ("process", number, "0 for the first")):
        if value is None:
            raise UserError(f"device.{key}: no launcher (SLURM, MPI) says it; give device.{key}=N, {right}")
    assert number is not None
    assert count is not None
    if number >= count:
        raise UserError(f"device.process: {number} is not one of {count} processes; they are numbered from 0")
    host, port = _from_slurm(environment) if device.coordinator == "auto" else _split(device.coordinator)
    return Place(number, count, host, port) if count > 1 else None


def _split(coordinator: str) -> tuple[str, int]:
    host, _, port = coordinator.rpartition(":")
    return host.strip("[]"), int(port)


def _from_slurm(environment: Mapping[str, str]) -> tuple[str, int]:
    """The first machine of a SLURM step, and a port that follows from job and step."""
    nodes = environment.get("SLURM_STEP_NODELIST", environment.get("SLURM_JOB_NODELIST", ""))
    # node7 | node7,node9 | node[07-12,15] | rack[1-3]n2
    found = re.match(r"([^\[,]+)(?:\[([^\],-]+)[^\]]*\]([^\[,]*))?", nodes)
    job = environment.get("SLURM_JOB_ID", "")
    if found is None or not job.isdigit():
        raise UserError(
            "device.coordinator: auto finds the machine of process 0 under SLURM alone; name it as HOST:PORT"
        )
    first, count = _PORTS
    step = environment.get("SLURM_STEP_ID", "")
    port = first + (31 * int(job) + (int(step) if step.isdigit() else 0)) % count
    return "".join(part or "" for part in found.groups()), port
