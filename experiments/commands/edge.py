"""`arena edge`: shows that evolution finds an edge that is there, and none where there is none."""

import argparse
import math
from functools import partial

from experiments.commands.overrides import add_override_arguments, epilog
from markets.errors import UserError

__all__ = ["add_arguments", "epilog", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena edge`."""
    add_override_arguments(parser, sweeps=False)
    parser.add_argument("--edge", type=float, default=8.0, help="Sharpe ratio of the oracle in the first half (8)")
    parser.add_argument("--seeds", type=int, default=10, help="seeds of the first half (10); 0 leaves it out")
    parser.add_argument("--null-seeds", type=int, default=40, help="seeds of the half without an edge (40); 0: none")
    parser.add_argument("--fresh", type=int, default=2, help="fresh markets each seed is judged on (2)")


def run(args: argparse.Namespace) -> int:
    """Evolve, judge and tell both halves; return the exit code."""
    for name, least in (("edge", 0.0), ("seeds", 0), ("null_seeds", 0), ("fresh", 1)):
        if getattr(args, name) < least or not math.isfinite(getattr(args, name)):
            raise UserError(f"--{name.replace('_', '-')}: {getattr(args, name)} is too small; at least {least:g}")
    import polars as pl

    from experiments.edge.study import EdgeStudy, evolve_seeds, judge_seeds
    from experiments.edge.summary import HEAD, seed_line, summary
    from experiments.runs.files import write_whole
    from experiments.terminal import say

    said = []
    for edge, seeds in ((args.edge, args.seeds), (0.0, args.null_seeds)):
        if not seeds:
            continue
        study = EdgeStudy(edge, seeds, args.fresh, tuple(args.overrides))
        job, directory, code = evolve_seeds(study)
        if code:
            return code
        say()
        say(f"edge {edge:g}: judging {seeds} seeds on {args.fresh} fresh markets each …")
        for line in HEAD:
            say(line)
        parts = []
        for part in judge_seeds(study, job, directory):
            parts.append(part)
            say(seed_line(part))
        table = pl.concat(parts)
        path = directory.root / "fresh.parquet"
        write_whole(path, partial(table.write_parquet, compression="zstd"))
        said += ["", *summary(table), f"  {path}"]
    for line in said:
        say(line)
    return 0
