"""`arena show RUN`: what a run is, how far it is, and who its champions are; read from its records alone."""

import argparse
from typing import Any

import polars as pl

from experiments.runs.champions import best_scores, replicates
from experiments.runs.directory import RunDirectory, find_run
from experiments.runs.origins import read_origins
from experiments.terminal import outline, say

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena show`."""
    parser.add_argument("run", metavar="RUN", help="a run's folder, or its id below the folder of runs")
    parser.add_argument("--runs-dir", default="runs", metavar="DIR", help="the folder of runs (default: runs)")


def run(args: argparse.Namespace) -> int:
    """Show the run, and return the exit code."""
    directory = find_run(args.run, args.runs_dir)
    manifest = directory.read_manifest()
    births, deaths, scars = (directory.read(name) for name in ("births", "deaths", "scars"))
    outline(
        f"run {manifest.get('run_id', directory.root.name)}",
        {
            "state": [_state(directory, manifest)],
            "market": [", ".join(str(symbol) for symbol in manifest.get("symbols", [])) or "–"],
            "started": [f"{manifest.get('started', '–')}, finished {manifest.get('finished') or '–'}"],
            "device": [_device(manifest)],
            "born": [f"{births.height:,}{_shares(births, 'operator')}"],
            "died": [f"{deaths.height:,}{_shares(deaths, 'cause')}"],
            "scars": [f"{scars.height:,}{_shares(scars, 'cause')}"],
            **_founders(directory),
            "speed": [_speed(directory.read("timings"))],
        },
    )
    say()
    say("champions in bp a bar: score is the archive's, drawn toward the mean for luck;")
    say("valid(ation) and train are log return as when it won; trades on validation")
    for line in _champions(directory, births):
        say(line)
    say(str(directory.root))
    return 0


def _champions(directory: RunDirectory, births: pl.DataFrame) -> list[str]:
    """The champion of each regime (and replicate, where there are several), a line each: what the archive holds of it,
    and its record in the generation that it won in.
    """
    many = replicates(directory)[0] > 1
    lines = [_line("champion of", "species", "by", ("agent", "born", "score", "valid", "train", "trades"))]
    fitness, archive = directory.read("fitness"), directory.read("archive")
    for (regime, replicate), (score, identity) in best_scores(directory).items():
        mine = (pl.col("id") == identity) & (pl.col("regime") == regime)
        won = archive.filter(mine)["generation"].tail(1).to_list()
        own = fitness.filter(mine)
        then = own.filter(pl.col("generation").is_in(won))
        rows = births.filter(pl.col("id") == identity).head(1).to_dicts()
        birth = rows[0] if rows else dict.fromkeys(births.columns, "–")  # a part may be gone
        train, validation = (
            table.filter(pl.col("split") == split).tail(1)
            for split in ("train", "validation")
            for table in [then if (then["split"] == split).any() else own]
        )
        figures = (
            str(identity),
            str(birth["generation"]),
            f"{1e4 * score:+.3f}",
            _per_bar(validation),
            _per_bar(train),
            str(validation["trades"][0]) if validation.height else "–",
        )
        lines.append(
            _line(f"{regime} {replicate + 1}" if many else regime, birth["species"], birth["operator"], figures)
        )
    return lines


def _line(regime: str, species: str, operator: str, figures: tuple[str, ...]) -> str:
    """A line of the table: within 80 columns, and whatever is longer stays on it."""
    widths = (6, 4, 7, 7, 7, 6)
    cells = (f"{figure:>{width}}" for figure, width in zip(figures, widths, strict=True))
    return " ".join((f"{regime:<18}", f"{species:<8}", f"{operator:<9}", *cells))


def _founders(directory: RunDirectory) -> dict[str, list[str]]:
    """Champions of earlier runs that founded it; nothing where none did."""
    origins = read_origins(directory)
    champions = origins.filter(pl.col("founders").is_not_null())
    said = [f"{row['species']} {row['id']} of run {row['run_id']}" for row in champions.iter_rows(named=True)]
    return {"bred on": said} if said else {}


def _state(directory: RunDirectory, manifest: dict[str, Any]) -> str:
    done = f"{directory.done(manifest)} of {manifest.get('target', '?')} generations"
    return f"{directory.state(manifest)}, {done}, seed {manifest.get('seed', '–')}"


def _per_bar(row: pl.DataFrame) -> str:
    if not row.height or not row["bars"][0]:
        return "–"
    return f"{1e4 * row['log_return'][0] / row['bars'][0]:+.3f}"


def _shares(table: pl.DataFrame, column: str) -> str:
    """`: 12 culled, 3 ruined`, or nothing."""
    counts = table[column].value_counts(sort=True).rows()
    return ": " + ", ".join(f"{count:,} {name}" for name, count in counts) if counts else ""


def _device(manifest: dict[str, Any]) -> str:
    device = manifest.get("device", {})
    return f"{device.get('count', '?')} × {device.get('kind', '?')}"


def _speed(timings: pl.DataFrame) -> str:
    if not timings.height:
        return "–"
    rate = timings["agent_bars_per_second"].median()
    return f"{float(str(rate)) / 1e6:.2f} M agent-bars/s (median), compiled in {timings['compile_seconds'].sum():.0f} s"
