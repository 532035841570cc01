"""The page on metrics: every measure stands on it, its examples run, and it says what the code says."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from experiments.evidence.metrics import CONVENTIONS, SOURCES, metrics

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "metrics.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


def test_every_measure_has_one_row_in_the_tables_and_one_in_the_comparison_or_none_to_compare():
    measures, _, comparison = TEXT.partition("## Undefined")
    rows = re.findall(r"^\| `(\w+)` \| [^|]*\? \|", measures, flags=re.MULTILINE)
    assert sorted(rows) == sorted(SOURCES)
    compared = {
        name
        for row in re.findall(r"^\| (`.*?) \|", comparison, flags=re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert set(SOURCES) - compared == {"expectancy", "turnover", "costs"}


def test_the_page_lists_its_sections():
    listed = re.findall(r"^\| \[(.*?)\]\(#(.*?)\) \|", TEXT.partition("\n## ")[0], flags=re.MULTILINE)
    sections = re.findall(r"^## (.*)$", TEXT, flags=re.MULTILINE)
    assert listed == [(name, name.lower().replace(" ", "-").replace(",", "")) for name in sections]


def test_the_example_of_metrics_runs():
    names: dict[str, object] = {}
    exec(compile(BLOCKS[0], "docs/metrics.md", "exec"), names)
    assert names["record"] == metrics(names["returns"], periods_per_year=260.89)  # type: ignore[arg-type]
    assert len(names["months"]) == 24  # type: ignore[arg-type]
    assert names["how"] == CONVENTIONS["sharpe"]


def test_the_example_of_purged_splits_runs_and_finds_the_edge_that_is_in_it():
    names: dict[str, object] = {}
    exec(compile(BLOCKS[1], "docs/metrics.md", "exec"), names)
    paths = names["paths"]
    assert isinstance(paths, np.ndarray)
    assert paths.shape == (5, 1200)
    assert np.isfinite(paths).all()
    # A bet on the sign of the one feature that tells earns 0.1 · E|x| of the noise a day.
    expected = 0.1 * math.sqrt(2 / math.pi) * math.sqrt(252)
    assert names["sharpe"] == pytest.approx([expected] * 5, abs=3 / math.sqrt(1200 / 252))
