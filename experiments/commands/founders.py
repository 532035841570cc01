"""`arena founders`: shows whether founders from other libraries help, and what evolution adds to them."""

import argparse

from experiments.commands.overrides import add_override_arguments, epilog
from experiments.commands.studies import given_overrides, print_configs, see_least
from experiments.exits import REFUTED

__all__ = ["add_arguments", "epilog", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena founders`."""
    add_override_arguments(parser, sweeps=False)
    parser.add_argument("--from", dest="source", default="lightgbm", help="library of the founders (lightgbm)")
    parser.add_argument("--seeds", type=int, default=10, help="seeds of each arm (10)")
    parser.add_argument("--edge", type=float, help="Sharpe ratio of the oracle of a made-up market (8)")
    parser.add_argument("--fresh", type=int, help="fresh markets each seed of a made-up market is judged on (2)")


def run(args: argparse.Namespace) -> int:
    """Evolve both arms, judge and tell; return the exit code, 1 where the library's founders do not help."""
    see_least(args, edge=0.0, seeds=2, fresh=1)

    import polars as pl

    from experiments.hardware.programs import shared_programs
    from experiments.runs.files import write_table
    from experiments.studies import founders
    from experiments.studies.founders_summary import confirmed, head, mean_lines, seed_line, summary
    from experiments.terminal import say

    study = founders.FoundersStudy(args.source, args.seeds, args.edge, args.fresh, given_overrides(args))
    terms = founders.make_terms(study)  # all mistakes before the first arm runs
    if args.cfg:
        print_configs(terms.configs)
        return 0
    with shared_programs():
        arms = founders.make_arms(study, terms)
        for arm, code in founders.evolve_arms(arms):
            if code:
                return code
            if not arm.job.study.check:
                say()
        if terms.configs[0]["check"]:
            return 0
        for line in (*founders.caption(study, arms, terms.part), *head(study.source)):
            say(line)
        parts = []
        for part in founders.judge_arms(study, arms, terms.part):
            parts.append(part)
            say(seed_line(part))
    table = pl.concat(parts)
    path = arms[0].directory.root / "fresh.parquet"
    write_table(path, table)
    scores = {arm.source: founders.scores(arm) for arm in arms}
    for line in (*mean_lines(table), "", *summary(table, study.source, scores), f"  {path}"):
        say(line)
    return REFUTED if confirmed(table) is False else 0
