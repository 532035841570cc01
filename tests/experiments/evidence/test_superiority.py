"""SPA and StepM: equal to `arch` on the same draws, and where `arch` falls short, what they should have been."""

import math

import numpy as np
import pytest
from arch.bootstrap import SPA, StationaryBootstrap, StepM, optimal_block_length
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from experiments.evidence import superiority
from experiments.evidence.superiority import block_length, hac_deviation, superior

ALPHA, BLOCK, DRAWS = 0.1, 5, 400


def records(
    seed: int, means: tuple[float, ...] = (0.35, 0.2, 0.1, 0.0, -0.3), periods: int = 120
) -> NDArray[np.float64]:
    """Differentials with these means, in deviations, that share a common part; each of a scale of its own."""
    random = np.random.default_rng(seed)
    table = random.standard_t(4, (periods, len(means))) / math.sqrt(2) + random.standard_normal((periods, 1)) / 2
    return (table + np.asarray(means)) * 0.01 * np.geomspace(1, 30, len(means))


def by_arch(table: NDArray[np.float64], *, seed: int = 0) -> tuple[SPA, StepM]:
    """The tests of `arch` on studentised losses."""
    losses, none = -table / hac_deviation(table, BLOCK), np.zeros(len(table))
    spa = SPA(none, losses, block_size=BLOCK, reps=DRAWS, seed=seed)
    spa.compute()
    return spa, StepM(none, losses, size=ALPHA, block_size=BLOCK, reps=DRAWS, seed=seed)


def test_it_is_arch_on_the_same_draws() -> None:
    counts = set()
    for seed in range(12):
        table = records(seed)
        ours = superior(table, alpha=ALPHA, block=BLOCK, draws=DRAWS, seed=seed)
        spa, steps = by_arch(table, seed=seed)
        assert [ours.p_lower, ours.p_consistent, ours.p_upper] == spa.pvalues.tolist()
        steps.compute()
        assert np.flatnonzero(ours.rejected).tolist() == [int(column) for column in steps.superior_models]
        np.testing.assert_allclose(ours.statistic, math.sqrt(120) * (table / hac_deviation(table, BLOCK)).mean(0))
        counts.add(int(ours.rejected.sum()))
    assert len(counts) > 2  # of several answers, not of one


def test_rejecting_all_in_several_steps_is_an_answer_where_arch_raises() -> None:
    for seed in range(200):
        table = records(seed, (0.45, 0.45, 0.22, 0.22))
        ours = superior(table, alpha=ALPHA, block=BLOCK, draws=DRAWS)
        once = ours.statistic > _critical(table)
        if ours.rejected.all() and not once.all():
            break
    _, steps = by_arch(table)
    with pytest.raises(ValueError, match="zero-size"):
        steps.compute()
    # The second step takes the rejected out, so that fewer compete.
    assert once.any()


def _critical(table: NDArray[np.float64]) -> float:
    """Critical value of the first step for the statistic, all columns together."""
    spa, _ = by_arch(table)
    return float(spa.critical_values(ALPHA)["consistent"]) * math.sqrt(len(table))


def test_rejecting_all_in_one_step_is_an_answer_too() -> None:
    ours = superior(records(0, (2.0, 3.0)), alpha=ALPHA, block=BLOCK, draws=DRAWS)
    assert ours.rejected.tolist() == [True, True]
    assert ours.p_upper == 0


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(1e-6, 1e6), min_size=5, max_size=5), st.integers(0, 5))
def test_scaling_a_column_changes_nothing(scales: list[float], seed: int) -> None:
    table = records(seed)
    plain = superior(table, alpha=ALPHA, block=BLOCK, draws=DRAWS)
    scaled = superior(table * scales, alpha=ALPHA, block=BLOCK, draws=DRAWS)
    assert scaled.rejected.tolist() == plain.rejected.tolist()
    assert scaled[2:5] == plain[2:5]
    np.testing.assert_allclose(scaled.statistic, plain.statistic, rtol=1e-9)


def test_a_loud_column_without_merit_hides_no_quiet_one_with_it() -> None:
    table = records(3, (0.5, 0.0)) * [1, 1000]
    assert superior(table, alpha=ALPHA, block=BLOCK, draws=DRAWS).rejected.tolist() == [True, False]


def test_idle_columns_are_dropped_and_never_rejected() -> None:
    table = records(1)
    still = np.insert(table, [0, 3, 5], [0.0, 0.002, 0.0], axis=1)
    still[:, -1] = 1e-16 * np.random.default_rng(0).random(len(table))  # what rounding leaves of nothing
    plain = superior(table, alpha=ALPHA, block=BLOCK, draws=DRAWS)
    ours = superior(still, alpha=ALPHA, block=BLOCK, draws=DRAWS)
    idle = np.asarray([True, False, False, False, True, False, False, True])
    np.testing.assert_array_equal(ours.idle, idle)
    np.testing.assert_array_equal(ours.rejected[~idle], plain.rejected)
    np.testing.assert_array_equal(ours.statistic[~idle], plain.statistic)
    assert not ours.rejected[idle].any()
    assert np.isnan(ours.statistic[idle]).all()
    assert ours[2:5] == plain[2:5]


@pytest.mark.parametrize("means", [(-0.5, -0.4), (-3.0,), ()])
def test_nothing_is_drawn_where_nothing_can_be_rejected(
    means: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("drawn")

    monkeypatch.setattr(superiority, "_counts", never)
    ours = superior(records(2, means), alpha=ALPHA, block=BLOCK, draws=DRAWS)
    assert not ours.rejected.any()
    assert ours[2:5] == (1.0, 1.0, 1.0)


def test_the_quick_way_rejects_what_arch_does_nothing() -> None:
    for seed in range(3):
        _, steps = by_arch(records(seed, (-0.2, -0.5, -0.3)))
        steps.compute()
        assert steps.superior_models == []


def test_the_same_question_has_the_same_answer_and_the_seed_is_used() -> None:
    table = records(4, (0.12, 0.1, 0.0))
    first, second = (superior(table, alpha=ALPHA, block=BLOCK, draws=DRAWS, seed=7) for _ in range(2))
    assert first[2:5] == second[2:5]
    superiority._counts.cache_clear()
    assert superior(table, alpha=ALPHA, block=BLOCK, draws=DRAWS, seed=7)[2:5] == first[2:5]
    assert superior(table, alpha=ALPHA, block=BLOCK, draws=DRAWS, seed=8)[2:5] != first[2:5]
    assert superior(table, alpha=ALPHA, block=2 * BLOCK, draws=DRAWS, seed=7)[2:5] != first[2:5]


def test_the_deviation_is_that_of_the_formula_and_of_the_bootstrap() -> None:
    random = np.random.default_rng(0)
    table = random.standard_normal((90, 2))
    table[:, 1] = np.convolve(random.standard_normal(92), [1, 1, 1], "valid")
    centred, stay = table - table.mean(0), 1 - 1 / BLOCK
    variance = (centred**2).mean(0)
    for lag in range(1, 90):
        kappa = (1 - lag / 90) * stay**lag + lag / 90 * stay ** (90 - lag)
        variance += 2 * kappa * (centred[lag:] * centred[:-lag]).sum(0) / 90
    deviation = hac_deviation(table, BLOCK)
    np.testing.assert_allclose(deviation, np.sqrt(variance), rtol=1e-12)
    bootstrap = StationaryBootstrap(BLOCK, table, seed=1)
    drawn = np.asarray([data[0][0].mean(0) for data in bootstrap.bootstrap(4000)])
    np.testing.assert_allclose(deviation, math.sqrt(90) * drawn.std(0), rtol=0.05)
    assert deviation[1] > 1.3 * table[:, 1].std()


def test_a_column_that_takes_itself_back_has_no_deviation_left_and_is_idle() -> None:
    swinging = np.resize([0.01, -0.01], 100)[:, None]
    np.testing.assert_array_equal(hac_deviation(np.zeros((100, 1)), BLOCK), [0.0])
    with np.errstate(all="raise"):
        assert not superior(swinging, alpha=ALPHA, block=BLOCK, draws=DRAWS).rejected.any()


def test_blocks_are_as_long_as_the_longest_of_returns_squares_and_holding_times() -> None:
    random = np.random.default_rng(0)
    calm = random.standard_normal((1000, 2))
    spells = np.repeat(np.where(random.random(20) < 0.5, 0.3, 2.0), 50)  # volatility that stays for 50 days
    clustered = np.column_stack([calm[:, 0], calm[:, 1] * spells])
    rules = [optimal_block_length(of)["stationary"].max() for of in (clustered, clustered**2)]
    assert rules[0] < rules[1]
    assert block_length(clustered) == min(20, math.ceil(rules[1]))
    assert block_length(calm, [math.nan, 11.3, 4.0]) == 12
    assert block_length(calm, [500.0]) == 1000 // 50
    assert block_length(np.column_stack([np.zeros(1000), calm])) == block_length(calm)
    assert block_length(np.zeros((1000, 2))) == 2
    assert block_length(calm[:60], [9.0]) == 2


def test_questions_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="8 periods"):
        superior(np.ones((7, 2)), alpha=ALPHA, block=2)
    with pytest.raises(ValueError, match="finite"):
        superior(np.full((20, 2), np.nan), alpha=ALPHA, block=2)
    with pytest.raises(ValueError, match="alpha"):
        superior(records(0), alpha=1.5, block=2)
