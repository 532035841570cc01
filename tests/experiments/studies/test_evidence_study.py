"""The evidence study: what it says of tables whose answer is known, and what a small one leaves behind."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from scipy import stats
from small_runs import SMALL, arena

from experiments.certificates.family import MEMBERS
from experiments.studies.evidence_summary import as_it_should_be, fresh_share, passed_share, seed_line, summary
from experiments.studies.real_bars import real_configs
from experiments.studies.statistics import share
from markets.errors import UserError


def made(edge: float, verdicts: list[str], fresh: list[list[str]] | None = None, costs: float = 1.0) -> pl.DataFrame:
    """A table of populations by their verdict, each on its own holdout and on fresh ones."""
    rows = []
    for seed, own in enumerate(verdicts):
        for holdout, verdict in enumerate([own, *(fresh[seed] if fresh else [])]):
            rows += [
                {
                    "edge": edge,
                    "seed": seed,
                    "holdout": holdout,
                    "costs": costs if holdout else 1.0,
                    "population": verdict,
                    "member": member,
                    "id": 7 if member == "all" else None,
                    "verdict": verdict if member == "all" else "fail",
                    "trades": 200 if member == "all" else 0,
                    "sharpe": 1.5 if member == "all" else 0.0,
                }
                for member in MEMBERS
            ]
    return pl.DataFrame(rows)


def test_a_share_has_the_exact_interval_of_clopper_and_pearson() -> None:
    got = share(4, 200)
    assert got.mean == 0.02
    assert got.low == pytest.approx(stats.beta.ppf(0.025, 4, 197))
    assert got.high == pytest.approx(stats.beta.ppf(0.975, 5, 196))
    assert share(0, 200)[:2] == (0.0, 0.0)


def test_a_population_counts_once_however_many_of_its_members_pass() -> None:
    table = made(
        0.0, ["pass", "fail", "insufficient", "fail"], [["fail", "fail"], ["pass", "fail"]] + [["fail"] * 2] * 2
    )
    assert passed_share(table)[:2] == (1, 4)
    said = "\n".join(summary(table))
    assert "edge 0, 4 populations: NOT AS IT SHOULD BE; at most 2% asked" in said
    assert "1 of 4 pass on their own holdout: 25.0% (95 % interval 0.6% to 80.6%), exact" in said
    assert "1 of 4 have too short a record" in said
    # Shares by seed are 0, 1/2, 0, 0: mean 1/8, and its standard error from their spread.
    assert "1 of 8 fresh holdouts are passed: 12.50%, standard error 12.50% by seed" in said


def test_fresh_holdouts_without_costs_are_told_apart() -> None:
    table = made(0.0, ["fail"] * 2, [["pass"], ["fail"]], costs=0.0)
    assert [line for line in summary(table) if "fresh" in line] == [
        "  1 of 2 fresh holdouts are passed, had they cost nothing: 50.00%, standard error 50.00% by seed"
    ]
    assert seed_line(table.filter(seed=0)).endswith("–         –")


def test_noise_may_pass_in_two_of_a_hundred_and_an_edge_must_in_four_of_five() -> None:
    for edge, passed, good in ((0.0, 2, True), (0.0, 3, False), (8.0, 80, True), (8.0, 79, False)):
        assert as_it_should_be(made(edge, ["pass"] * passed + ["fail"] * (100 - passed))) is good


def test_noise_that_passes_but_for_its_costs_is_noticed() -> None:
    passes = [["pass"] if seed < 10 else ["fail"] for seed in range(100)]
    table = made(0.0, ["fail"] * 100, passes, costs=0.0)
    share = fresh_share(table, 0.0)
    assert share is not None
    assert share[:3] == (10, 100, 0.1)
    assert share.error == pytest.approx(0.3 * np.sqrt(100 / 99) / 10)
    assert not as_it_should_be(table)
    assert as_it_should_be(made(0.0, ["fail"] * 100, passes))  # with costs, on fresh ones, nothing is asked


def test_a_population_that_nobody_stands_for_passes_nothing() -> None:
    table = pl.concat([made(8.0, ["pass"], [["pass"]]), made(8.0, ["fail"]).with_columns(seed=pl.lit(1, pl.Int64))])
    share = fresh_share(table, 1.0)
    assert share is not None
    assert share[:3] == (1, 1, 0.5)


def test_overrides_of_real_bars_that_no_shell_takes_are_told() -> None:
    with pytest.raises(UserError, match=r"^--real market\.path=.a: No closing quotation"):
        real_configs(['market.path="a'], ())


def test_a_line_says_whom_nobody_is() -> None:
    line = seed_line(made(8.0, ["pass"], [["pass", "fail"]]))
    assert line.split() == ["0", "pass", "–", "–", "–", "–", "+1.50", "–", "1", "1", "of", "2"]


@pytest.mark.slow
@pytest.mark.usefixtures("plainly_compiled")
def test_a_small_study_certifies_every_population_and_goes_on_where_it_was(tmp_path: Path) -> None:
    small = (*SMALL, "evolution.generations=2", "archive.trials=0", "market.bars=4000", f"runs_dir={tmp_path}")
    words = ["evidence", "--seeds=0", "--null-seeds=2", "--fresh=1", *small]
    code, said, complaint = arena(*words)
    assert code in (0, 1), complaint
    assert "edge 0, 2 populations" in said
    (path,) = tmp_path.glob("*/evidence.parquet")
    table = pl.read_parquet(path)
    places = [(0, 1.0), (1, 1.0), (1, 0.0)]
    for _, own in table.group_by("seed"):
        assert own.select("holdout", "costs").unique(maintain_order=True).rows() == places
        assert own["member"].to_list() == list(MEMBERS) * len(places)
    assert table["seed"].unique().to_list() == [1000, 1001]
    parts = {part: part.stat().st_mtime_ns for part in tmp_path.glob("*/evidence/*.parquet")}
    assert len(parts) == 2
    assert arena(*words)[0] == code
    assert {part: part.stat().st_mtime_ns for part in parts} == parts
    assert_frame_equal(pl.read_parquet(path), table)
