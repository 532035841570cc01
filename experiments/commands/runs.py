"""`arena runs`: the runs there are, with their state and best scores."""

import argparse
from pathlib import Path
from typing import Any

from rich.table import Table

from experiments.runs.champions import best_scores, replicates
from experiments.runs.directory import RunDirectory
from experiments.terminal import console, say
from markets.errors import UserError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena runs`."""
    parser.add_argument("--runs-dir", default="runs", metavar="DIR", help="the folder of runs (default: runs)")


def run(args: argparse.Namespace) -> int:
    """List the runs, the latest last, and return the exit code."""
    root = Path(args.runs_dir)
    if root.exists() and not root.is_dir():
        raise UserError(f"{root}: not a folder; name the folder of runs with --runs-dir")
    found = [RunDirectory(path.parent) for path in root.glob("*/config.yaml")]
    if not found:
        say(f"no runs in {root}")
        return 0
    table = Table(box=None, pad_edge=False)
    for name in ("run", "started", "state", "market"):
        table.add_column(name, no_wrap=True)
    for name in ("done", "seed", "best bp/bar"):
        table.add_column(name, justify="right", no_wrap=True)
    for directory, manifest, best in sorted(map(_read, found), key=lambda row: str(row[1].get("started", ""))):
        symbols = [str(symbol) for symbol in manifest.get("symbols", [])]
        market = ", ".join(symbols[:1]) + (" …" if len(symbols) > 1 else "")
        table.add_row(
            directory.root.name,
            str(manifest.get("started", "–"))[:16],
            directory.state(manifest),
            market,
            f"{directory.done(manifest)}/{manifest.get('target', '?')}",
            str(manifest.get("seed", "–")),
            best,
        )
    console.print(table)
    return 0


def _read(directory: RunDirectory) -> tuple[RunDirectory, dict[str, Any], str]:
    """A run's manifest and its best all-rounder; where they are damaged, so is its state, and the list goes on."""
    manifest: dict[str, Any] = {}
    try:
        manifest = directory.read_manifest()
        scores = {key: score for key, (score, _) in best_scores(directory).items() if key[0] == "all"}
        if not scores:
            return directory, manifest, "–"
        (_, replicate), score = max(scores.items(), key=lambda item: item[1])
        which = f" (replicate {replicate + 1})" if replicates(directory)[0] > 1 else ""
        return directory, manifest, f"{1e4 * score:+.3f}{which}"
    except UserError:
        return directory, {**manifest, "state": "damaged"}, "–"
