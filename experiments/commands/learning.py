"""`arena learning`: shows what learning inside a life adds to evolution, and evolution to learning."""

import argparse

from experiments.commands.overrides import add_override_arguments, epilog
from experiments.commands.studies import given_overrides, print_configs, see_least

__all__ = ["add_arguments", "epilog", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena learning`."""
    add_override_arguments(parser, sweeps=False)
    parser.add_argument(
        "--species",
        default="qnetwork,forest",
        help="species, each with arms of its own (qnetwork,forest)",
    )
    parser.add_argument("--seeds", type=int, default=16, help="seeds of each arm (16)")
    parser.add_argument("--edge", type=float, default=8.0, help="Sharpe ratio of the oracle (8)")
    parser.add_argument("--fresh", type=int, default=2, help="fresh markets each seed is judged on (2)")


def run(args: argparse.Namespace) -> int:
    """Evolve, judge and tell all arms; return the exit code, 0 whatever was found."""
    see_least(args, seeds=2, edge=0.0, fresh=1)

    import polars as pl

    from experiments.hardware.programs import shared_programs
    from experiments.runs.files import write_table
    from experiments.studies import learning
    from experiments.studies.learning_summary import HEAD, arm_line, summary
    from experiments.studies.seeds import go_or_describe, quiet_job
    from experiments.terminal import say

    species = tuple(dict.fromkeys(args.species.split(",")))
    study = learning.LearningStudy(species, args.seeds, args.edge, args.fresh, given_overrides(args))
    arms = learning.make_arms(study)  # all mistakes before the first arm runs
    if args.cfg:
        print_configs(arm.config for arm in arms)
        return 0
    budgets, tables, lines = [], [], []
    with shared_programs():
        for arm in arms:
            say(f"{arm.species}, {arm.name}")
            job, directory = quiet_job(arm.config)
            code = go_or_describe(job, directory)
            if code:
                return code
            if job.study.check:
                continue
            budgets.append((arm, learning.budget_of(directory, arm)))
            learning.see_equal(budgets)
            tables.append(pl.concat(learning.judge_arm(study, arm, job, directory)))
            lines.append(arm_line(tables[-1], sum(directory.read("timings")["seconds"])))
            say(lines[-1])
            if arm.name == "lamarckian" and arm.species == species[0]:
                path = directory.root / "fresh.parquet"
            del job  # the next arm needs the room of this one
    if not tables:
        return 0
    table = pl.concat(tables)
    write_table(path, table)
    played = budgets[0][1]
    say()
    say(
        f"edge {study.edge:g}: every arm played {played.agent_bars:,} agent-bars, {played.agents:,} agents over "
        f"{played.generations} generations; judged on {study.fresh} fresh markets a seed"
    )
    for line in (*HEAD, *lines, "", *summary(table), f"  {path}"):
        say(line)
    return 0
