"""How the results of `arena bench` are shown: a table within 80 columns."""

from typing import Any

from rich.table import Table

from experiments.terminal import console, say

__all__ = ["show"]


def show(found: dict[str, Any]) -> None:
    """Print results as a table within 80 columns."""
    machine = found["machine"]
    scaled = any("peak_bytes" in row for row in found["results"])
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for title in ("agents", "M agent-bars/s", *(_SCALED_TITLES if scaled else _TITLES)):
        table.add_column(title, justify="right")
    for row in found["results"]:
        rate = f"{row['agent_bars_per_second'] / 1e6:.2f}"
        table.add_row(row["name"], f"{row['agents']:,}", rate, *(_memory if scaled else _spread)(row))
    load = "" if machine["load"] is None else f", load {machine['load']:.1f} before"
    say(f"{machine['devices']} × {machine['device']}, {machine['processor']}, {machine['cores']} cores{load}")
    say(f"float32 matrix product: {found['matrix_gflops']:,.0f} GFLOP/s")
    say()
    console.print(table)
    if scaled:
        say("GiB: arrays by the compiler, and the most this process had so far")
    for row in found["results"]:
        if "recording_share" in row:
            say(f"{row['name']}: recording and checkpoints take {row['recording_share']:.1%}")


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
