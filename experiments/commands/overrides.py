"""What the commands that take `key=value` overrides share: their arguments, their help, and sweeps.

Everything that can be wrong with the configuration is found before the first job starts, so that a sweep with a mistake
in its last job runs none.
"""

import argparse
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from experiments.configuration.compose import FIXED, compose, expand, search_override
from experiments.configuration.help import describe
from experiments.runs.sweeps import Outcome, Runner, Session, check_jobs, sweep
from markets.settings import build

__all__ = ["add_override_arguments", "epilog", "run_jobs"]


def add_override_arguments(parser: argparse.ArgumentParser, *, sweeps: bool = True) -> None:
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
    return describe(expand(overrides, module=module)[0], module=module)


def run_jobs(
    args: argparse.Namespace,
    job: Runner,
    *,
    module: str = "conf",
    check: Callable[[dict[str, Any]], object] | None = None,
    session: Session | None = None,
) -> int:
    """Carry out a command on the configurations its overrides describe.

    Args:
        args: what `add_override_arguments` declared.
        job: runs one configuration.
        module: importable package that holds the configuration files.
        check: raises `UserError` where a composed configuration makes no valid job.
        session: what lasts as long as a sweep.

    Returns:
        The exit code: that of the only job, or of the sweep.

    Raises:
        UserError: mistakes in the overrides, found before any job starts, or one that the only job found.
    """
    overrides: list[str] = list(args.overrides)
    if args.config_dir is not None:
        overrides.insert(0, search_override(args.config_dir))
    many = getattr(args, "multirun", False)
    jobs = expand(overrides, module=module) if many else [overrides]

    def composed(one: list[str]) -> dict[str, Any]:
        config = compose(one, module=module)
        if check is not None and not args.cfg:
            check(config)
        return config

    configs = check_jobs(jobs, composed, fixed=FIXED)
    if args.cfg:
        for config in configs:
            print(OmegaConf.to_yaml(OmegaConf.create(config)), end="" if len(jobs) == 1 else "---\n")
        return 0
    if len(jobs) == 1:
        return job(jobs[0], Outcome())
    first = [configs.index(config) for config in configs]
    same = [None if index == earlier else earlier for index, earlier in enumerate(first)]
    # What is forced would be made anew by the same words.
    again = "" if any(config.get("force") is True for config in configs) else _again(args)
    _let_one_speak(configs[0].get("device") or {})
    return sweep(jobs, job, same=same, again=again, **({} if session is None else {"session": session}))


def _let_one_speak(device: Mapping[str, Any]) -> None:
    """Where several processes go through a sweep together, have process 0 alone say what it does."""
    from arena.settings import DeviceSettings  # not for help, which is to answer at once
    from experiments.hardware.launchers import find_place
    from experiments.terminal import console

    place = find_place(build(DeviceSettings, device, "device"))
    console.quiet = place is not None and place.number > 0


def _again(args: argparse.Namespace) -> str:
    """The words that start the same sweep once more."""
    own = [] if args.config_dir is None else ["--config-dir", str(args.config_dir)]
    return shlex.join(["arena", "evolve", "-m", *own, *args.overrides])
