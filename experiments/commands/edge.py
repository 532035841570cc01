"""`arena edge`: shows that evolution finds an edge that is there, and none where there is none."""

import argparse

from experiments.commands.overrides import add_override_arguments, epilog
from experiments.commands.studies import evolve_and_judge, given_overrides, print_configs, see_least
from experiments.exits import REFUTED

__all__ = ["add_arguments", "epilog", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena edge`."""
    add_override_arguments(parser, sweeps=False)
    parser.add_argument("--edge", type=float, default=8.0, help="Sharpe ratio of the oracle in the first half (8)")
    parser.add_argument("--seeds", type=int, default=10, help="seeds of the first half (10); 0 leaves it out")
    parser.add_argument("--null-seeds", type=int, default=40, help="seeds of the half without an edge (40); 0: none")
    parser.add_argument("--fresh", type=int, default=2, help="fresh markets each seed is judged on (2)")


def run(args: argparse.Namespace) -> int:
    """Evolve, judge and tell both halves; return the exit code, 1 where they are not as they should be."""
    see_least(args, edge=0.0, seeds=0, null_seeds=0, fresh=1)
    overrides = given_overrides(args)
    halves = [(edge, seeds) for edge, seeds in ((args.edge, args.seeds), (0.0, args.null_seeds)) if seeds]

    from experiments.studies.edge import EdgeStudy, judge_seeds, seeds_config
    from experiments.studies.edge_summary import HEAD, as_it_should_be, seed_line, summary
    from experiments.terminal import say

    studies = [EdgeStudy(edge, seeds, args.fresh, overrides) for edge, seeds in halves]
    configs = [seeds_config(study) for study in studies]  # all mistakes before the first half runs
    if args.cfg:
        print_configs(configs)
        return 0

    code, found = evolve_and_judge(
        studies,
        judge_seeds,
        announced=lambda study: (
            f"edge {study.edge:g}: judging {study.seeds} seeds on {study.fresh} fresh markets each …"
        ),
        head=HEAD,
        line=seed_line,
        file="fresh.parquet",
    )
    if code:
        return code
    for table, path in found:
        for line in ("", *summary(table), f"  {path}"):
            say(line)
    return 0 if all(as_it_should_be(table) for table, _ in found) else REFUTED
