"""How the results of `arena bench` are shown: a table within 80 columns."""

from collections.abc import Iterator
from typing import Any

from rich.table import Table

from experiments.terminal import console, say

__all__ = ["show"]


def show(found: dict[str, Any]) -> None:
    """Print results as a table within 80 columns."""
    machine = found["machine"]
    lineages = [row for row in found["results"] if "agents_per_second" in row]
    rows = [row for row in found["results"] if "rows_per_second" in row]
    updates = [row for row in found["results"] if "updates_per_second" in row]
    waits = [row for row in found["results"] if "microseconds" in row]
    worlds = [row for row in found["results"] if row not in (*rows, *lineages, *updates, *waits)]
    scaled = any("peak_bytes" in row for row in worlds)
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for title in ("agents", "M agent-bars/s", *(_SCALED_TITLES if scaled else _TITLES)):
        table.add_column(title, justify="right")
    for row in worlds:
        rate = f"{row['agent_bars_per_second'] / 1e6:.2f}"
        table.add_row(row["name"], f"{row['agents']:,}", rate, *(_memory if scaled else _spread)(row))
    load = "" if machine["load"] is None else f", load {machine['load']:.1f} before"
    say(f"{machine['devices']} × {machine['device']}, {machine['processor']}, {machine['cores']} cores{load}")
    say(f"float32 matrix product: {found['matrix_gflops']:,.0f} GFLOP/s")
    say()
    if worlds:
        console.print(table)
    if rows:
        console.print(_rows_table(rows))
    if updates:
        console.print(_updates_table(updates))
    if lineages:
        console.print(_lineage_table(lineages))
    if waits:
        console.print(_waits_table(waits))
    if scaled:
        say("GiB: arrays by the compiler, and the most this process had so far")
    for row in worlds:
        if "recording_share" in row:
            say(f"{row['name']}: recording and checkpoints take {row['recording_share']:.1%}")
    for line in (*_learning_shares(worlds), *_comparisons(rows)):
        say(line)


def _rows_table(rows: list[dict[str, Any]]) -> Table:
    """What is counted in rows: forests (or models), numbers in an answer, rows given at once, answers a second."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for title in ("forests", "outputs", "batch", "M rows/s", "from – to"):
        table.add_column(title, justify="right")
    for row in rows:
        counts = (f"{row[key]:,}" for key in ("agents", "outputs", "bars"))
        table.add_row(row["name"], *counts, f"{row['rows_per_second'] / 1e6:.2f}", _spread(row)[0])
    return table


def _updates_table(rows: list[dict[str, Any]]) -> Table:
    """What is counted in updates: agents, transitions of one, updates a second."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for title in ("agents", "batch", "K updates/s", "from – to", "of matrix"):
        table.add_column(title, justify="right")
    for row in rows:
        counts = (f"{row[key]:,}" for key in ("agents", "bars"))
        rate, least, most = (f"{row[key] / 1e3:.1f}" for key in ("updates_per_second", "least", "most"))
        share = f"{row['matrix_share']:.0%}" if row["matrix_share"] else "–"
        table.add_row(row["name"], *counts, rate, f"{least} – {most}", share)
    return table


def _learning_shares(rows: list[dict[str, Any]]) -> Iterator[str]:
    """What speed is left with learning on, where both were measured."""
    rates = {row["name"]: row["agent_bars_per_second"] for row in rows}
    for species in ("qnetwork", "forest"):
        learning, without = rates.get(f"{species}_learning"), rates.get(f"{species}_all_on")
        if learning and without:
            yield f"{species}: learning keeps {learning / without:.0%} of the speed without"


def _lineage_table(rows: list[dict[str, Any]]) -> Table:
    """Agents asked about, seconds, the most memory their process had, and of each part its seconds."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for title in ("agents", "seconds", "peak GiB"):
        table.add_column(title, justify="right")
    for row in rows:
        peak = "–" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 2**30:.2f}"
        table.add_row(row["name"], f"{row['agents']:,}", f"{row['seconds']:.2f}", peak)
        for part, seconds in row["parts"].items():
            table.add_row(f"  {part}", "", f"{seconds:.2f}")
    return table


def _waits_table(rows: list[dict[str, Any]]) -> Table:
    """What a bot waits for a decision, in microseconds by the clock, and of the processor."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    quantiles = list(rows[0]["microseconds"])
    for title in ("bars", *(f"{name} µs" for name in quantiles), f"of processor: {', '.join(quantiles)}"):
        table.add_column(title, justify="right")
    for row in rows:
        clocked = (f"{row['microseconds'][name]:.0f}" for name in quantiles)
        worked = ", ".join(f"{row['processor_microseconds'][name]:.0f}" for name in quantiles)
        table.add_row(row["name"], f"{row['bars']:,}", *clocked, worked)
    return table


def _comparisons(rows: list[dict[str, Any]]) -> Iterator[str]:
    """How many times as fast forests are as each library that was measured beside them."""
    rates = {row["name"]: row["rows_per_second"] for row in rows}
    for name, library in (("xgboost_rows", "XGBoost"), ("lightgbm_rows", "LightGBM")):
        if name in rates and (own := [row for row in _LAYOUTS if row in rates]):
            first, *others = (f"{rates[row] / rates[name]:.1f} × {_LAYOUTS[row]}" for row in own)
            first = first.replace("×", f"× {library}")
            yield f"forests: {', '.join([first, *others])}"


_LAYOUTS = {"forest_rows_oblivious": "oblivious", "forest_rows_ordinary": "ordinary"}


_TITLES = ("from – to", "compile s", "of matrix")
_SCALED_TITLES = ("arrays", "estimate", "peak", "estimate")
_MEMORY = ("array_bytes", "estimated_array_bytes", "peak_bytes", "estimated_bytes")


def _spread(row: dict[str, Any]) -> tuple[str, ...]:
    compiled, share = row["compile_seconds"], row["matrix_share"]
    return (
        f"{row['least'] / 1e6:.2f} – {row['most'] / 1e6:.2f}",
        "–" if compiled is None else f"{compiled:.1f}",
        "–" if share is None else f"{share:.0%}",
    )


def _memory(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple("–" if row[key] is None else f"{row[key] / 2**30:.2f}" for key in _MEMORY)
