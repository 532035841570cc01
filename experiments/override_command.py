"""What the commands that take `key=value` overrides share: their arguments, their help, and sweeps.

Everything that can be wrong with the configuration is found before the first job starts, so that a sweep with a mistake
in its last job runs none.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from experiments import configuration, configuration_help
from markets.errors import UserError

__all__ = ["add_arguments", "epilog", "run"]

Job = Callable[[list[str]], int]

INTERRUPTED = 130
"""Exit code of a job that was asked to stop; a sweep stops with it."""


def add_arguments(parser: argparse.ArgumentParser, *, sweeps: bool = True) -> None:
    """Declare overrides, `--cfg`, `--config-dir` and, where the command can sweep, `--multirun`."""
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="choices and keys, listed below")
    if sweeps:
        parser.add_argument(
            "-m",
            "--multirun",
            action="store_true",
            help="run one job after another for every combination of values: seed=1,2 or 'seed=range(0,5)'",
        )
    parser.add_argument("--cfg", choices=["job"], help="print the composed configuration as YAML and stop")
    parser.add_argument("--config-dir", "-cd", type=Path, metavar="DIR", help="a folder of your own group files")


def epilog(words: Sequence[str], *, module: str = "conf") -> str:
    """What `--help` adds: every choice and key, under the overrides among the words after the command."""
    overrides = [word for word in words if word.startswith("~") or ("=" in word and not word.startswith("-"))]
    return configuration_help.describe(overrides, module=module)


def run(
    args: argparse.Namespace, job: Job, *, module: str = "conf", check: Callable[[dict[str, Any]], object] | None = None
) -> int:
    """Carry out a command on the configurations its overrides describe.

    Args:
        args: what `add_arguments` declared.
        job: runs one configuration, given as overrides, and returns its exit code.
        module: importable package that holds the configuration files.
        check: raises `UserError` where a composed configuration makes no valid job.

    Returns:
        The exit code: that of the only job, or the highest of a sweep.

    Raises:
        UserError: a mistake in the overrides, found before any job starts, or one that a job found, with its name.
    """
    overrides: list[str] = list(args.overrides)
    if args.config_dir is not None:
        overrides.insert(0, configuration.search_override(args.config_dir))
    sweep = getattr(args, "multirun", False)
    jobs = configuration.expand(overrides, module=module) if sweep else [overrides]
    for one in jobs:
        config = configuration.compose(one, module=module)
        if args.cfg:
            print(OmegaConf.to_yaml(OmegaConf.create(config)), end="" if len(jobs) == 1 else "---\n")
        elif check is not None:
            check(config)
    if args.cfg:
        return 0
    return job(jobs[0]) if len(jobs) == 1 else _sweep(jobs, job)


def _sweep(jobs: Sequence[list[str]], job: Job) -> int:
    """Run jobs one after another under headings that say what differs, until all are done or one is interrupted."""
    varying = [index for index, values in enumerate(zip(*jobs, strict=True)) if len(set(values)) > 1]
    worst = 0
    for number, one in enumerate(jobs, start=1):
        name = f"job {number} of {len(jobs)}: {' '.join(one[index] for index in varying)}"
        print(name, flush=True)
        try:
            code = job(one)
        except UserError as error:
            raise UserError(f"{name}: {error}") from error
        if code == INTERRUPTED:
            return code
        worst = max(worst, code)
    return worst
