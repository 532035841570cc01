"""Writing the bars of a ready-made market, configured as for a run."""

from pathlib import Path

from experiments.commands.data_check import write_bars
from experiments.configuration.compose import compose
from experiments.configuration.study import make_study
from experiments.terminal import say
from markets.source import supply

__all__ = ["run"]


def run(overrides: list[str], out: Path) -> int:
    """Write the bars that overrides describe to one Parquet file.

    Raises:
        UserError: a mistake in the configuration, or a file that cannot be written.
    """
    study = make_study(compose(overrides))
    bars = supply(study.market, study.settings.seed).bars
    write_bars(bars, out)
    rows = sum(len(own) for own in bars)
    say(f"{out}: {rows:,} bars of {', '.join(own.symbol for own in bars)}")
    return 0
