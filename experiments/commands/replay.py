"""`arena replay`: explicit orders through the broker, and a directory of what came of them."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.commands.broker_keys import add_broker_argument, key_values
from experiments.commands.reading import add_reading_arguments, read_settings
from experiments.replay.replay import replay_aligned, write
from experiments.replay.targets import align_targets, read_targets
from experiments.runs.files import see_free
from markets.errors import UserError
from markets.readers import read_bars
from markets.rules import BrokerRules
from markets.settings import build

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena replay`."""
    parser.add_argument("bars", metavar="BARS", type=Path, help="file of bars, in any form `arena data check` reads")
    parser.add_argument(
        "--targets",
        metavar="FILE",
        type=Path,
        required=True,
        help="Parquet or CSV: timestamp (UTC open of the deciding bar), target[, stop_loss, take_profit]",
    )
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="directory to write; absent or empty")
    add_broker_argument(parser)
    add_reading_arguments(parser, columns=False)


def run(args: argparse.Namespace) -> int:
    """Replay as the arguments say, write the directory, print a summary, and return the exit code."""
    see_free(args.out)
    rules = build(BrokerRules, key_values(args.settings))
    series = read_bars(args.bars, read_settings(args), where="")
    if len(series) > 1:
        names = ", ".join(bars.symbol for bars in series[:8])
        raise UserError(f"{args.bars}: has {len(series)} symbols ({names}, …); choose one with --symbol")
    frame, rows = read_targets(args.targets)
    targets = align_targets(frame, series[0], source=args.targets, rows=rows)
    result = replay_aligned(series[0], targets, rules)
    write(result, args.out)
    _summarise(result.metrics)
    print(args.out)
    return 0


def _summarise(metrics: Mapping[str, Any]) -> None:
    """A few lines of what came out."""
    for name in ("bars", "fills", "trades", "end_equity", "total_return", "sharpe", "max_drawdown", "costs"):
        value = metrics[name]
        shown = "–" if value is None else f"{value:,.4f}" if isinstance(value, float) else f"{value:,}"
        print(f"{name:<14}{shown:>18}")
    if metrics["costless"]:
        print("This market charged no cost at all: no spread, commission, slippage or financing.")
    if metrics["ruined"]:
        print("The account was ruined.")
