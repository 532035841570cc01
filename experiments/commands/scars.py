"""`arena scars`: the experiment whether scars help, from worlds to verdict."""

import argparse
import math
from pathlib import Path

from experiments.commands.studies import see_least
from markets.errors import UserError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena scars`."""
    parser.add_argument("--seeds", type=int, default=32, help="paired seeds (32)")
    parser.add_argument("--out", type=Path, default=Path("runs/scars"), help="folder of the results (runs/scars)")
    parser.add_argument("--check", action="store_true", help="say what is to be done, and do nothing")
    parser.add_argument("--pilot", action="store_true", help="only find how far signs have to stand out")
    parser.add_argument("--strength", type=float, help="how far signs stand out (what the pilot finds)")
    parser.add_argument("--without-learning", action="store_true", help="let evolution alone act")
    parser.add_argument("--rare", action="store_true", help="let crashes come back after 4 to 12 generations, drawn")
    parser.add_argument("--agents", type=int, default=64, help="agents of a run (64)")
    parser.add_argument("--generations", type=int, default=40, help="generations of a run (40)")
    parser.add_argument(
        "--page", type=Path, help="folder to write scars.md and its pictures into (that of the results)"
    )
    parser.add_argument("--beside", type=Path, help="finished results without learning, to show on the page too")


def run(args: argparse.Namespace) -> int:
    """Find the strength, compute all runs, judge and tell; return the exit code."""
    see_least(args, seeds=2, agents=12, generations=6)
    if args.strength is not None and not (args.strength > 0 and math.isfinite(args.strength)):
        raise UserError(f"--strength: {args.strength:g} is none; a finite number above 0 would be")

    from experiments.hardware.machine import use_cores

    use_cores()

    from experiments.scars import study

    scale = args.agents / 64
    few = max(1, int(6 * scale))
    plan = study.make_plan(
        seeds=args.seeds,
        strength=args.strength,
        learning=not args.without_learning,
        rare=args.rare,
        agents=args.agents,
        generations=args.generations,
        scars=few,
        births=few,
    )
    beside = None if args.beside is None else study.load(args.beside)
    if beside is not None and beside.plan.learning:
        raise UserError(f"--beside: in {args.beside} agents learn; name results of arena scars --without-learning")
    if args.check:
        study.describe(plan, args.out)
        return 0
    study.carry_out(plan, args.out, page=args.page, beside=beside, only_pilot=args.pilot)
    return 0
