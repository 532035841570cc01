"""`arena check RUN`: whether anything of a run looks ahead."""

import argparse
from typing import TYPE_CHECKING

from experiments.runs.directory import find_run
from markets.errors import UserError

if TYPE_CHECKING:
    from experiments.checks.check import Report
    from experiments.checks.works import Finding

__all__ = ["add_arguments", "run"]

_CUTS = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena check`."""
    parser.add_argument("run", metavar="RUN", help="a run's folder, or its id below the folder of runs")
    parser.add_argument("--cuts", type=int, default=_CUTS, metavar="N", help=f"stamps to cut at (default: {_CUTS})")
    parser.add_argument("--seed", type=int, default=0, help="of the stamps, and of bars that are made up (default: 0)")
    parser.add_argument("--replicate", type=int, metavar="N", help="of a run with several: that one's market, from 1")
    parser.add_argument("--runs-dir", default="runs", metavar="DIR", help="the folder of runs (default: runs)")


def run(args: argparse.Namespace) -> int:
    """Check, show what was found, and return the exit code: 1 where something looks ahead."""
    if args.cuts < 1 or args.seed < 0:
        name, right = ("--cuts", "at least 1") if args.cuts < 1 else ("--seed", "0 or more")
        raise UserError(f"{name}: {args.cuts if args.cuts < 1 else args.seed}; right is {right}")
    directory = find_run(args.run, args.runs_dir)
    from experiments.checks.check import check_run
    from experiments.terminal import say, steps

    found = markets = 0
    with steps() as tell:
        for report in check_run(directory, cuts=args.cuts, seed=args.seed, replicate=args.replicate, tell=tell):
            for line in _lines(report):
                say(line)
            found += sum(len(check.findings) for check in report.checks)
            markets += 1
    say()
    say(f"{found} {'things look' if found > 1 else 'thing looks'} ahead." if found else "Nothing looks ahead.")
    return 1 if found else 0


def _lines(report: "Report") -> list[str]:
    """One market's table."""
    from experiments.checks.works import stamp_text

    subject = report.subject
    symbols = list(dict.fromkeys(symbol for segment in subject.market.segments for symbol in segment.symbols))
    first, last = (stamp_text(stamp) for stamp in (subject.market.time.min(), subject.market.time.max()))
    shown = ", ".join(symbols[:4]) + (f" and {len(symbols) - 4} more" if len(symbols) > 4 else "")
    folds = f", fold {subject.fold + 1}" if subject.settings.split.folds > 1 else ""
    which = f"replicate {subject.replicate + 1}: " if subject.settings.evolution.replicates > 1 else ""
    made = [
        "",
        f"{which}{shown}{folds}  {first} to {last}; the holdout stays shut",
        f"cut at {', '.join(map(stamp_text, report.stamps))}",
        "",
    ]
    width = max(len(check.compared) for check in report.checks)
    for check in report.checks:
        count = len(check.findings)
        answer = f"{count} LOOK{'S' * (count == 1)} AHEAD" if count else ("ok" if check.done else "–")
        made.append(f"{check.what:<11}{check.compared:<{width}}  {answer}")
    if report.begun:
        made += ["", "decisions that change with the bars of history before the first of them", ""]
        made.append(f"{'bars':>8}{'decisions':>12}{'change':>10}")
        for row in report.begun:
            note = "  as many as a bundle asks for" if row.bars == report.warm_up else ""
            made.append(f"{row.bars:>8,}{row.decisions:>12,}{row.differ:>10,}{note}")
    findings = [finding for check in report.checks for finding in check.findings]
    return made + ([""] if findings else []) + [_told(finding) for finding in findings]


def _told(finding: "Finding") -> str:
    """What looks ahead, where, and how that is seen."""
    from experiments.checks.works import stamp_text

    where = [
        finding.symbol,
        "" if finding.row is None else f"row {finding.row:,}",
        "" if finding.time is None else stamp_text(finding.time),
    ]
    return f"{finding.kind}: {', '.join(filter(None, where))}: {finding.how}"
