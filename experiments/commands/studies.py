"""What commands that carry out studies share: overrides, bounds of numbers, configurations, and studies by halves."""

import argparse
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from experiments.configuration.compose import search_override
from markets.errors import UserError

if TYPE_CHECKING:
    import polars as pl

    from experiments.runs.directory import RunDirectory
    from experiments.runs.job import Job
    from experiments.studies.edge import EdgeStudy

__all__ = ["evolve_and_judge", "given_overrides", "print_configs", "see_least"]


def given_overrides(args: argparse.Namespace) -> tuple[str, ...]:
    """The overrides among a command's arguments, a folder of the user's own group files first."""
    own = [] if args.config_dir is None else [search_override(args.config_dir)]
    return (*own, *args.overrides)


def see_least(args: argparse.Namespace, **least: float) -> None:
    """See that the numbers among a command's arguments are finite and large enough; what was left out is fine.

    Args:
        args: parsed.
        least: of each argument, by its name in them.

    Raises:
        UserError: the first that is not.
    """
    for name, bound in least.items():
        value = getattr(args, name)
        if value is not None and not (value >= bound and math.isfinite(value)):
            raise UserError(f"--{name.replace('_', '-')}: {value} is too small; at least {bound:g}")


def print_configs(configs: Iterable[dict[str, Any]]) -> None:
    """Print the configurations of several runs as YAML documents."""
    print("---\n".join(OmegaConf.to_yaml(OmegaConf.create(config)) for config in configs), end="")


def evolve_and_judge(
    studies: "Sequence[EdgeStudy]",
    judged: "Callable[[EdgeStudy, Job, RunDirectory], Iterator[pl.DataFrame]]",
    *,
    announced: "Callable[[EdgeStudy], str]",
    head: Sequence[str],
    line: "Callable[[pl.DataFrame], str]",
    file: str,
) -> "tuple[int, list[tuple[pl.DataFrame, Path]]]":
    """Evolve all seeds of each half of a study and judge them, with a line for each seed.

    Args:
        studies: the halves; one that asks for no more is described.
        judged: yields the rows of each seed.
        announced: what is said before.
        head: above the lines.
        line: of a seed.
        file: of each run's directory that gets the rows of all its seeds.

    Returns:
        The exit code of the run that stopped it, or 0; and of each half that was judged its rows and their file.
    """
    import polars as pl

    from experiments.runs.files import write_table
    from experiments.studies.edge import evolve_seeds
    from experiments.terminal import say

    found: list[tuple[pl.DataFrame, Path]] = []
    for study in studies:
        job, directory, code = evolve_seeds(study)
        if code:
            return code, found
        if job.study.check:
            continue
        say()
        say(announced(study))
        for words in head:
            say(words)
        parts = []
        for part in judged(study, job, directory):
            parts.append(part)
            say(line(part))
        found.append((pl.concat(parts), directory.root / file))
        write_table(found[-1][1], found[-1][0])
        del job  # the next half needs the room of this one
    return 0, found
