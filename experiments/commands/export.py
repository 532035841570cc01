"""`arena export RUN`: a champion as a bundle, one folder that a live bot loads with NumPy alone."""

import argparse
from pathlib import Path

from markets.errors import UserError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena export`."""
    parser.add_argument("run", metavar="RUN", help="a run's folder, or its id below the folder of runs")
    parser.add_argument(
        "--champion",
        metavar="WHO",
        default="all",
        help="bull_trending, bear_trending, volatile_ranging, calm_ranging, all (or all_rounder), router, or an id",
    )
    parser.add_argument(
        "--rule",
        choices=("certified", "plain"),
        help="act as the member of the certificate was judged, or as bred (default: certified where there is one)",
    )
    parser.add_argument("--replicate", type=int, metavar="N", help="of a run with several: which, from 1 (default: 1)")
    parser.add_argument("--symbol", metavar="S", help="of a run on several: which it is to trade (default: the first)")
    parser.add_argument("--out", type=Path, metavar="DIR", required=True, help="folder to write; absent or empty")
    parser.add_argument(
        "--max-exposure", type=float, metavar="X", help="cap, a multiple of equity (default: the run's max_leverage)"
    )
    parser.add_argument(
        "--max-drawdown", type=float, metavar="X", default=0.2, help="cap, a share of the peak (default: 0.2)"
    )
    parser.add_argument(
        "--max-daily-loss",
        type=float,
        metavar="X",
        default=0.05,
        help="cap, a share of the day's start (default: 0.05)",
    )
    parser.add_argument("--runs-dir", default="runs", metavar="DIR", help="the folder of runs (default: runs)")


def run(args: argparse.Namespace) -> int:
    """Write the bundle, say what it is, and return the exit code."""
    from agents.live.bundle import read_bundle
    from experiments.bundles.export import export
    from experiments.bundles.manifest import Risk
    from experiments.bundles.saying import whose
    from experiments.runs.directory import find_run
    from experiments.runs.files import see_free
    from experiments.terminal import say, steps

    for option in ("max_exposure", "max_drawdown", "max_daily_loss"):
        value, most = getattr(args, option), float("inf") if option == "max_exposure" else 1.0
        if value is not None and not 0.0 < value <= most:
            right = "above 0" if option == "max_exposure" else "above 0 and at most 1"
            raise UserError(f"--{option.replace('_', '-')}: {value:g}; right is {right}")
    see_free(args.out)
    risk = Risk(args.max_exposure, args.max_drawdown, args.max_daily_loss)
    directory = find_run(args.run, args.runs_dir)
    options = {"replicate": args.replicate, "symbol": args.symbol, "risk": risk, "rule": args.rule}
    notes = list[str]()
    with steps() as tell:
        out = export(directory, args.champion, args.out, **options, tell=tell, note=notes.append)
    manifest = read_bundle(out).values
    say(f"{whose(manifest)}, for {manifest['instrument']['symbol']}")
    for note in notes:
        say(note)
    files = [path for path in out.rglob("*") if path.is_file()]
    say(f"{args.out}: {len(files)} files, {sum(path.stat().st_size for path in files):,} bytes")
    say(f"check it with: arena verify {args.out}")
    return 0
