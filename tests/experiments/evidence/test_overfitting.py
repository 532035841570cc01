"""CSCV: equal to a loop over all splits and to purgedcv, about a half on noise and about none on a real edge."""

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import rankdata

from experiments.evidence import overfitting
from experiments.evidence.overfitting import cscv, distinct


def by_loop(table: NDArray[np.float64], blocks: int) -> list[float]:
    """Logits, split by split, as the paper says them."""
    parts = np.array_split(np.arange(len(table)), blocks)
    logits = []
    for chosen in itertools.combinations(range(blocks), blocks // 2):
        rows = np.concatenate([parts[block] for block in chosen])
        past, future = table[rows], np.delete(table, rows, axis=0)
        best = int(np.argmax([_ratio(column) for column in past.T]))
        share = rankdata([_ratio(column) for column in future.T])[best] / (table.shape[1] + 1)
        logits.append(math.log(share / (1 - share)))
    return logits


def _ratio(returns: NDArray[np.float64]) -> float:
    """Sharpe ratio, 0 for what does not move."""
    return float(returns.mean() / returns.std(ddof=1)) if np.ptp(returns) > 0 else 0.0


@pytest.mark.parametrize(("periods", "columns", "blocks"), [(48, 7, 4), (61, 9, 6), (40, 2, 6), (100, 20, 8)])
def test_it_is_the_loop_over_all_splits(periods: int, columns: int, blocks: int) -> None:
    table = np.random.default_rng(periods).standard_normal((periods, columns)) * np.geomspace(1e-4, 10, columns)
    found, wanted = cscv(table, blocks=blocks), by_loop(table, blocks)
    np.testing.assert_allclose(found.logits, wanted, atol=1e-12)
    assert found.pbo == pytest.approx(np.mean(np.sign(-np.round(wanted, 9)) / 2 + 0.5))
    assert found[2:] == (columns, 0, 0)
    assert len(set(found.logits)) > columns / 2
    assert (found.logits == 0).any() == (columns % 2 == 1)  # on the very median, which counts by half


def test_columns_idle_in_many_halves_tie_and_share_their_mean_rank() -> None:
    random = np.random.default_rng(3)
    table = random.standard_normal((48, 9)) - 0.3
    for column in range(2, 9):  # each trades in one block alone, and some are paid the same every day without trading
        table[np.arange(48) // 8 != column % 6, column] = 0.1 * (column % 3)
    wanted = by_loop(table, 6)
    np.testing.assert_allclose(cscv(table, blocks=6).logits, wanted, atol=1e-12)
    assert len({round(value, 9) for value in wanted} - {round(math.log(r / (10 - r)), 9) for r in range(1, 10)}) > 0


def test_it_is_purgedcv() -> None:
    purgedcv = pytest.importorskip("purgedcv")
    table = np.random.default_rng(1).standard_normal((101, 10)) + np.linspace(0, 0.2, 10)
    theirs = purgedcv.probability_of_backtest_overfitting(table.T, n_splits=6)
    ours = cscv(table, blocks=6)
    np.testing.assert_allclose(np.sort(ours.logits), np.sort(theirs.logits), atol=1e-12)
    assert ours.pbo == theirs.pbo  # an even number of columns: nothing falls on the median


def test_noise_overfits_half_of_the_time_and_an_edge_does_not() -> None:
    noise, edge = [], []
    for seed in range(24):
        table = np.random.default_rng(seed).standard_normal((640, 40))
        noise.append(cscv(table, blocks=8).pbo)
        table[:, :4] += 0.15
        edge.append(cscv(table, blocks=8).pbo)
    assert np.mean(noise) == pytest.approx(0.5, abs=0.1)  # deviation of one about 0.17
    assert np.mean(edge) < 0.03


def test_the_16_blocks_make_12870_splits_in_any_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    table = np.random.default_rng(0).standard_normal((64, 12))
    whole = cscv(table).logits
    assert len(whole) == 12870
    monkeypatch.setattr(overfitting, "_PRODUCT", 16_000)
    np.testing.assert_allclose(cscv(table).logits, whole, atol=1e-12)


def test_idle_columns_and_copies_are_left_out() -> None:
    random = np.random.default_rng(0)
    table = random.standard_normal((60, 6))
    near = 2 * table[:, 1] + 0.01 * random.standard_normal(60) + 5
    more = np.column_stack([np.zeros(60), table, np.full(60, 0.3), -table[:, 0], near, table[:, 5]])
    found, plain = cscv(more, blocks=6), cscv(table, blocks=6)
    assert found[2:] == (6, 2, 3)
    assert found.pbo == plain.pbo
    np.testing.assert_allclose(found.logits, plain.logits, atol=1e-12)


def test_the_first_of_each_kind_is_kept_and_one_left_out_takes_nobody_along() -> None:
    """b is like a and like c, but a and c are not alike: a stands for b, c for itself."""
    base = np.random.default_rng(0).standard_normal((2000, 2))
    a, away = base[:, 0], base[:, 1]
    table = np.column_stack([a, a + 0.1 * away, a + 0.2 * away])
    likeness = np.abs(np.corrcoef(table.T))
    assert likeness[0, 1] > 0.99 > likeness[0, 2]
    assert likeness[1, 2] > 0.99
    assert distinct(table).tolist() == [True, False, True]


def test_fewer_than_two_columns_have_no_probability() -> None:
    column = np.random.default_rng(0).standard_normal((64, 1))
    for table in (column, np.hstack([column, 2 * column, 0 * column]), np.zeros((64, 3)), np.empty((64, 0))):
        found = cscv(table)
        assert math.isnan(found.pbo)
        assert len(found.logits) == 0
        assert found.columns + found.dropped_idle + found.merged == table.shape[1]


def test_questions_that_make_no_sense_are_refused() -> None:
    table = np.random.default_rng(0).standard_normal((31, 3))
    with pytest.raises(ValueError, match="even number"):
        cscv(table, blocks=5)
    with pytest.raises(ValueError, match="32 periods"):
        cscv(table)
    with pytest.raises(ValueError, match="finite"):
        cscv(np.full((40, 2), np.inf))
