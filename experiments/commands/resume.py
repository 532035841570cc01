"""`arena resume RUN`: go on with a run from its last checkpoint."""

import argparse
from collections.abc import Sequence
from typing import Any

import yaml

from experiments.runs.directory import find_run
from markets.errors import UserError

__all__ = ["add_arguments", "run"]

_PLACES = ("count", "coordinator", "processes", "process", "timeout")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena resume`."""
    parser.add_argument("run", metavar="RUN", help="a run's folder, or its id below the folder of runs")
    parser.add_argument(
        "overrides", nargs="*", metavar="device.key=value", help=f"where it goes on: {', '.join(_PLACES)} of device"
    )
    parser.add_argument("--runs-dir", default="runs", metavar="DIR", help="the folder of runs (default: runs)")


def run(args: argparse.Namespace) -> int:
    """Go on with the run, and return the exit code."""
    device = _device(args.overrides)
    directory = find_run(args.run, args.runs_dir)
    from experiments.runs.start import resume

    return resume(directory, device)


def _device(overrides: Sequence[str]) -> dict[str, Any]:
    """Keys of `device` that say where a run goes on; all else stays as it was begun."""
    made = {}
    for line in overrides:
        key, sign, value = line.partition("=")
        name = key.removeprefix("device.")
        if not sign or name == key or name not in _PLACES:
            known = ", ".join(f"device.{place}" for place in _PLACES)
            raise UserError(f"{line}: a run goes on as it was begun; what may change is where: {known}")
        try:
            made[name] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError, RecursionError):
            raise UserError(
                f"{line}: cannot read the value; write a number, or HOST:PORT for device.coordinator"
            ) from None
    return made
