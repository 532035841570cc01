"""`arena runs`: the runs there are, with their state and best scores."""

import argparse
from pathlib import Path
from typing import Any

from rich.table import Table

from arena.schemas import REGIME_NAMES
from experiments.rundir import RunDirectory
from experiments.terminal import console, say
from markets.errors import UserError

__all__ = ["add_arguments", "best_scores", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena runs`."""
    parser.add_argument("--runs-dir", default="runs", metavar="DIR", help="the folder of runs (default: runs)")


def run(args: argparse.Namespace) -> int:
    """List the runs, the latest last, and return the exit code."""
    root = Path(args.runs_dir)
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; name the folder of runs with --runs-dir")
    found = [RunDirectory(path.parent) for path in root.glob("*/config.yaml")]
    if not found:
        say(f"no runs in {root}")
        return 0
    table = Table(box=None, pad_edge=False)
    for name in ("run", "started", "state", "market"):
        table.add_column(name, no_wrap=True)
    for name in ("done", "seed", "best bp/bar"):
        table.add_column(name, justify="right", no_wrap=True)
    for directory, manifest in sorted(_read(found), key=lambda pair: str(pair[1].get("started", ""))):
        symbols = [str(symbol) for symbol in manifest.get("symbols", [])]
        market = ", ".join(symbols[:1]) + (" …" if len(symbols) > 1 else "")
        score, _ = best_scores(directory).get("all", (None, None))
        table.add_row(
            directory.root.name,
            str(manifest.get("started", "–"))[:16],
            str(manifest.get("state", "unknown")),
            market,
            f"{manifest.get('generations', 0)}/{manifest.get('target', '?')}",
            str(manifest.get("seed", "–")),
            "–" if score is None else f"{1e4 * score:+.3f}",
        )
    console.print(table)
    return 0


def best_scores(directory: RunDirectory) -> dict[str, tuple[float, int]]:
    """Score (log return a bar on validation) and id of the champion of each regime, by regime."""
    archive = directory.read("archive")
    last = archive.group_by("regime", maintain_order=True).last()
    rows = {row["regime"]: (row["score"], row["id"]) for row in last.iter_rows(named=True)}
    return {regime: rows[regime] for regime in REGIME_NAMES if regime in rows}


def _read(found: list[RunDirectory]) -> list[tuple[RunDirectory, dict[str, Any]]]:
    """Manifests; a damaged one is a run of unknown state, not the end of the list."""
    pairs = []
    for directory in found:
        try:
            pairs.append((directory, directory.read_manifest()))
        except UserError:
            pairs.append((directory, {"state": "damaged"}))
    return pairs
