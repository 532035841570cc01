"""Effective trials: as many as there are where all differ, as many as there are kinds where most are copies."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.evidence.sharpe import expected_maximum
from experiments.evidence.trials import LEAST_CHANGES, Trials, effective_trials


def noise(columns: int, *, periods: int = 300, seed: int = 0) -> NDArray[np.float64]:
    """Returns without merit that have nothing to do with one another."""
    return np.random.default_rng(seed).standard_normal((periods, columns)) * 0.01


def found(table: NDArray[np.float64], *, raw: int | None = None, seed: int = 0) -> Trials:
    """Of columns that all trade."""
    return effective_trials(table, np.full(table.shape[1], LEAST_CHANGES), raw=raw or table.shape[1], seed=seed)


def test_independent_columns_count_as_many_as_they_are() -> None:
    trials = found(noise(1000), raw=50_000)
    assert trials.raw == trials.active == 50_000
    assert trials.path[-1][0] == 1000
    assert trials.path[-1][1] == pytest.approx(1000, rel=0.25)
    assert trials.slope == pytest.approx(1, abs=0.06)
    assert 50_000 / 2 < trials.effective <= 50_000


@pytest.mark.parametrize("kinds", [5, 30])
def test_copies_of_a_few_count_as_those_however_many_there_are(kinds: int) -> None:
    random = np.random.default_rng(1)
    table = noise(kinds)[:, random.integers(0, kinds, 1000)] * random.uniform(0.1, 10, 1000)
    trials = found(table, raw=10**6)
    assert trials.effective == pytest.approx(kinds, rel=0.3)
    assert trials.slope == pytest.approx(0, abs=0.02)


def test_the_best_of_them_is_as_lucky_as_said() -> None:
    """Relatives, made of ten common parts and one's own: fresh t statistics that hang together so have that maximum."""
    random = np.random.default_rng(2)
    mix = random.standard_normal((10, 400))
    own = np.linalg.norm(mix, axis=0) / 2

    def draw(rows: int) -> NDArray[np.float64]:
        return random.standard_normal((rows, 10)) @ mix + own * random.standard_normal((rows, 400))

    trials = found(draw(500))
    luckiest = (draw(2000) / (math.sqrt(5) * own)).max(1).mean()
    assert expected_maximum(trials.effective) == pytest.approx(luckiest, rel=0.04)
    assert 20 < trials.effective < 350


def test_the_extension_follows_the_slope_of_the_last_subsets() -> None:
    random = np.random.default_rng(3)
    table = noise(16)[:, random.integers(0, 16, 512)] + noise(512, seed=4) / 3
    trials = found(table, raw=100 * 512)
    sizes, counts = np.log(np.asarray(trials.path)).T
    assert [size for size, _ in trials.path] == [2, 4, 8, 16, 32, 64, 128, 256, 512]
    assert trials.slope == pytest.approx(np.polyfit(sizes[-4:], counts[-4:], 1)[0])
    assert 0.1 < trials.slope < 0.9
    assert trials.effective == pytest.approx(trials.path[-1][1] * 100**trials.slope)


def test_idle_genomes_are_set_aside_and_counted_by_their_share() -> None:
    table = np.hstack([noise(100), noise(60, seed=5), np.zeros((300, 40))])
    changes = np.repeat([LEAST_CHANGES, LEAST_CHANGES - 1, 1000], [100, 60, 40])
    trials = effective_trials(table, changes, raw=20_000)
    alone = found(noise(100), raw=10_000)
    assert trials.active == 10_000
    assert trials[2:] == alone[2:]


def test_nobody_active_leaves_one_trial() -> None:
    assert effective_trials(noise(5), np.zeros(5, int), raw=100) == Trials(100, 0.0, 1.0, 0.0, 1 / 300, ())


def test_few_genomes_never_count_as_more_than_they_are() -> None:
    for columns in (1, 2, 3):
        for seed in range(5):
            assert 1 <= found(noise(columns, seed=seed), seed=seed).effective <= columns
    mirrored = noise(1) * [1, -1]
    assert found(mirrored).path[-1][1] > 2
    assert found(mirrored).effective == 2


def test_the_variance_is_that_of_the_trials_or_of_an_estimate_whichever_is_larger() -> None:
    table = noise(200)
    ratios = table.mean(0) / table.std(0, ddof=1)
    spread = found(table + 0.01 * np.linspace(-1, 1, 200))
    assert spread.variance > 0.2
    assert found(table).variance == pytest.approx(max(ratios.var(ddof=1), 1 / 300), rel=0.02)
    # Copies differ in nothing, and yet the record that they share could have come out otherwise.
    same = np.repeat(noise(1, seed=1), 50, axis=1)
    rho = np.corrcoef(same[1:, 0], same[:-1, 0])[0, 1]
    assert found(same).variance == pytest.approx((1 + rho) / (1 - rho) / 300, rel=0.01)
    slow = same[1:] + same[:-1]
    rho = np.corrcoef(slow[1:, 0], slow[:-1, 0])[0, 1]
    assert rho > 0.3
    assert found(slow).variance == pytest.approx((1 + rho) / (1 - rho) / 299, rel=0.02)


def test_the_same_question_has_the_same_answer_and_the_scale_is_of_no_account() -> None:
    table = noise(64)
    assert found(table) == found(table)
    assert found(table, seed=1).effective != found(table).effective
    scaled = found(table * np.geomspace(1e-3, 1e3, 64))
    assert scaled.effective == pytest.approx(found(table).effective, rel=1e-6)


def test_questions_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="sample of 5"):
        found(noise(5), raw=4)
    with pytest.raises(ValueError, match="expected"):
        effective_trials(noise(5), np.ones(4, int), raw=9)
    with pytest.raises(ValueError, match="finite"):
        found(np.full((10, 2), np.nan))
