"""`arena certify RUN`: the holdout opened once, and what a run's champions are worth on it."""

import argparse
from collections.abc import Mapping
from typing import Any

__all__ = ["add_arguments", "epilog", "run"]

_EPILOG = """\
Every opening of a holdout is written to holdout.jsonl beside the runs before its first bar is read; whoever looks at
bars that were looked at before is judged more strictly. Asked again, the certificate that was given is shown; one that
was given the other way (with or without --plain) is not shown instead, for that would be another opening.
The exit code is 0 whatever the verdict is.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena certify`."""
    parser.add_argument("run", metavar="RUN", help="a run's folder, or its id below the folder of runs")
    parser.add_argument("--replicate", type=int, default=1, metavar="N", help="of a run with several: which, from 1")
    parser.add_argument(
        "--plain", action="store_true", help="judge champions as bred: no grid of decision rules is run for them"
    )
    parser.add_argument("--runs-dir", default="runs", metavar="DIR", help="the folder of runs (default: runs)")


def epilog(words: list[str]) -> str:
    """What the help says at its end."""
    del words
    return _EPILOG


def run(args: argparse.Namespace) -> int:
    """Certify, show the verdict, and return the exit code."""
    from experiments.certificates.certificate import certify
    from experiments.runs.directory import find_run
    from experiments.terminal import say, steps

    directory = find_run(args.run, args.runs_dir)
    with steps() as tell:
        given = certify(directory, replicate=args.replicate, plain=args.plain, tell=tell)
    _show(given.values)
    if given.again:
        say(f"given {given.values['made']}; the holdout was not opened again")
    say(str(given.path))
    return 0


def _show(values: Mapping[str, Any]) -> None:
    """A table of the family, and the verdict in a line."""
    from rich.text import Text

    from experiments.terminal import outline, say

    holdout, level = values["holdout"], values["level"]
    symbols = ", ".join(holdout["symbols"][:4]) + (
        f" and {len(holdout['symbols']) - 4} more" if len(holdout["symbols"]) > 4 else ""
    )
    replicate = f", replicate {values['replicate']}" if values["replicate"] > 1 else ""
    outline(
        f"certificate of run {values['run_id']}{replicate}",
        {
            "holdout": [f"{symbols}  {holdout['first'][:10]} to {holdout['last'][:10]}, {holdout['days']:,} days"],
            "level": [f"{100 * level['used']:.2g} % for the whole family, opening {level['opening']} of these bars"],
        },
    )
    say()
    say(f"{'':<18}{'earned':>9}{'matched':>9}{'Sharpe':>8}{'at 2x':>8}{'drawdown':>10}{'trades':>8}  verdict")
    for own in values["family"]:
        metrics, double = own["metrics"]["1"], own["metrics"]["2"]
        cells = (
            f"{own['member']:<18}{_percent(own['earned']):>9}{_percent(own['matched']):>9}"
            f"{_number(own['sharpe']['year']):>8}{_number(double['sharpe']):>8}"
            f"{_percent(metrics['max_drawdown'], sign=''):>10}{own['trades']:>8,}  "
        )
        say(Text.assemble(cells, _verdict(own["verdict"])))
    say(Text("earned and matched (its mean exposure, held) a year; Sharpe a year, and at twice the costs", style="dim"))
    say()
    say(Text.assemble(_verdict(values["verdict"]), f": {values['reasons'][0]}"))
    for reason in values["reasons"][1:]:
        say(f"  {reason}")


def _verdict(verdict: str) -> Any:
    from rich.text import Text

    return Text(verdict, style={"pass": "bold green", "fail": "bold red"}.get(verdict, "bold yellow"))


def _percent(value: float | None, sign: str = "+") -> str:
    return "–" if value is None else f"{100 * value:{sign}.1f} %"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
