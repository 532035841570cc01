"""`arena evidence`: shows that certificates tell noise from edge, and what they say of real bars."""

import argparse

from experiments.commands.overrides import add_override_arguments, epilog
from experiments.commands.studies import evolve_and_judge, given_overrides, print_configs, see_least
from experiments.exits import REFUTED

__all__ = ["add_arguments", "epilog", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena evidence`."""
    add_override_arguments(parser, sweeps=False)
    parser.add_argument("--edge", type=float, default=8.0, help="Sharpe ratio of the oracle where there is an edge (8)")
    parser.add_argument("--seeds", type=int, default=60, help="populations with an edge (60); 0 leaves them out")
    parser.add_argument("--null-seeds", type=int, default=200, help="populations without an edge (200); 0: none")
    parser.add_argument(
        "--real",
        action="append",
        default=[],
        metavar="OVERRIDES",
        help='a study of real bars, such as "market.path=EURUSD.csv broker.commission=0.00002"; as often as wanted',
    )
    parser.add_argument("--fresh", type=int, default=10, help="fresh holdouts each is judged on beside its own (10)")


def run(args: argparse.Namespace) -> int:
    """Breed, certify and tell both halves; return the exit code, 1 where they are not as they should be."""
    see_least(args, edge=0.0, seeds=0, null_seeds=0, fresh=0)
    overrides = given_overrides(args)
    halves = [(edge, seeds) for edge, seeds in ((0.0, args.null_seeds), (args.edge, args.seeds)) if seeds]

    from experiments.certificates.certificate import certify
    from experiments.studies.edge import seeds_config
    from experiments.studies.evidence import certify_seeds, half
    from experiments.studies.evidence_summary import HEAD, as_it_should_be, seed_line, summary
    from experiments.studies.real_bars import HEAD as REAL_HEAD
    from experiments.studies.real_bars import breed, real_configs, verdict_line
    from experiments.terminal import say, steps

    studies = [half(edge, seeds, args.fresh, overrides) for edge, seeds in halves]
    configs = [seeds_config(study) for study in studies]  # all mistakes before the first half runs
    real = real_configs(args.real, overrides)
    if args.cfg:
        print_configs([*configs, *real])
        return 0

    code, found = evolve_and_judge(
        studies,
        certify_seeds,
        announced=lambda study: (
            f"edge {study.edge:g}: certifying {study.seeds} populations, on their own holdouts and {study.fresh} fresh"
        ),
        head=HEAD,
        line=seed_line,
        file="evidence.parquet",
    )
    if code:
        return code
    said = [line for table, path in found for line in ("", *summary(table), f"  {path}")]
    verdicts = []
    for config in real:
        directory, code = breed(config)
        if code:
            return code
        if not config["check"]:
            with steps() as tell:
                given = certify(directory, tell=tell)
            verdicts += [verdict_line(given.values), f"    {directory.root}"]
    if verdicts:
        said += ["", f"real bars, {len(real)} series:", *REAL_HEAD, *verdicts]
    for line in said:
        say(line)
    return 0 if all(as_it_should_be(table) for table, _ in found) else REFUTED
