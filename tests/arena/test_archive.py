"""The archive: who is named, who wins, and what is kept."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from agents.memory import forget
from agents.population import NOBODY
from arena.archive import (
    Archive,
    ArchiveSettings,
    Candidates,
    Improvement,
    empty_archive,
    nominate,
    paired_t,
    update,
    without_luck,
)
from arena.rollout import Trader
from arena.tally import GROUPS, REGIMES
from genomes.genes import Genes

pytestmark = pytest.mark.usefixtures("plainly_compiled")

WINDOWS = 8
BARS = jnp.full((WINDOWS, GROUPS), 20.0)


def trader(values: Any) -> Trader:
    """Traders whose genome is one number."""
    value = jnp.asarray(values, jnp.float32)
    return Trader(
        value, Genes(*(value for _ in Genes._fields)), forget(value.shape, 1, 2), jnp.zeros((*value.shape, REGIMES))
    )


def candidates(ids: list[int], windows: np.ndarray, group: int = 0, **changes: Any) -> tuple[Candidates, Any]:
    """Candidates of one replicate for one group; `windows` is [candidates, windows]."""
    result = np.zeros((1, len(ids), WINDOWS, GROUPS), np.float32)
    result[0, :, :, group] = windows
    made = Candidates(
        id=jnp.asarray([ids], jnp.uint32),
        species=jnp.zeros((1, len(ids)), jnp.int32),
        place=jnp.arange(len(ids), dtype=jnp.int32)[None],
        group=jnp.full((1, len(ids)), group, jnp.int32),
        windows=jnp.asarray(result),
        trades=jnp.ones((1, len(ids), GROUPS)),
    )
    return made._replace(**changes), (trader([[float(i) for i in ids]]),)


def start() -> Archive:
    return empty_archive(1, WINDOWS, (trader(0.0),))


_update = jax.jit(update, static_argnums=4)


def challenge(
    archive: Archive, tried: tuple[Candidates, Any], lived: Any = BARS, **settings: Any
) -> tuple[Archive, Improvement]:
    return _update(archive, *tried, jnp.asarray(lived)[None], ArchiveSettings(**settings))


def test_the_best_of_each_group_are_named_once_for_it() -> None:
    score = jnp.asarray(np.random.default_rng(0).normal(size=(7, GROUPS)), jnp.float32)
    slot, group = nominate(score, jnp.ones(7, bool), 2)
    want = [np.argsort(-np.asarray(score[:, g]))[:2] for g in range(GROUPS)]
    np.testing.assert_array_equal(slot, np.concatenate(want))
    np.testing.assert_array_equal(group, np.repeat(np.arange(GROUPS), 2))


def test_who_has_not_been_judged_long_enough_is_not_tried() -> None:
    score = jnp.tile(jnp.arange(5.0)[:, None], (1, GROUPS))
    slot, group = nominate(score, jnp.asarray([True, False, True, False, False]), 3)
    slot, group = np.asarray(slot).reshape(GROUPS, 3), np.asarray(group).reshape(GROUPS, 3)
    np.testing.assert_array_equal(slot[:, :2], [[2, 0]] * GROUPS)
    np.testing.assert_array_equal(group[:, 2], GROUPS)
    np.testing.assert_array_equal(group[:, 0], np.arange(GROUPS))


@pytest.mark.parametrize("seed", range(3))
def test_paired_t_is_students(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, 3, 12))
    counts = rng.uniform(size=(3, 12)) > 0.3
    got = paired_t(jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32), jnp.asarray(counts))
    want = [stats.ttest_rel(x[c], y[c]).statistic for x, y, c in zip(a, b, counts, strict=True)]
    np.testing.assert_allclose(got, want, rtol=1e-4)


def test_paired_t_of_certain_and_of_too_few_differences() -> None:
    zero, one = jnp.zeros(4), jnp.ones(4)
    every, single = jnp.ones(4, bool), jnp.asarray([True, False, False, False])
    assert paired_t(one, zero, every) == jnp.inf
    assert paired_t(zero, one, every) == -jnp.inf
    assert paired_t(one, one, every) == 0
    assert paired_t(one, zero, single) == 0


def kept_share(windows: np.ndarray) -> float:
    """1 − (n − 3)·v / Σ dᵢ², said otherwise than the archive does: by NumPy's own variances."""
    away = windows - windows.mean(0)
    noise = np.sum(windows.shape[1] * away.var(axis=1, ddof=1)) / (len(windows) - 1)
    return float(np.clip(1 - (len(windows) - 3) * noise / np.sum(away.sum(1) ** 2), 0, 1))


@pytest.mark.parametrize("seed", range(4))
def test_results_are_drawn_to_their_mean_by_what_is_noise(seed: int) -> None:
    rng = np.random.default_rng(seed)
    own = rng.normal(0, 0.2 * seed, (8, 1)) + rng.normal(0, 0.3, (8, 12)) + rng.normal(0, 1, 12)
    got = np.asarray(without_luck(jnp.asarray(own, jnp.float32), jnp.ones(8, bool), jnp.ones(12, bool)))
    np.testing.assert_allclose(got, own.mean(0) + kept_share(own) * (own - own.mean(0)), atol=1e-5)
    np.testing.assert_allclose(got.mean(0), own.mean(0), atol=1e-6)


def test_the_noise_that_is_taken_out_is_the_noise_of_a_result() -> None:
    """With Σ dᵢ² known, the share kept says what v was reckoned at: on average what it truly is."""
    rng, found = np.random.default_rng(7), []
    for _ in range(300):
        own = rng.normal(0, 1, (8, 32)) + rng.normal(0, 12, (8, 1)) + rng.normal(0, 3, 32)
        away = own.mean(1) - own.mean()
        fair = np.asarray(without_luck(jnp.asarray(own, jnp.float32), jnp.ones(8, bool), jnp.ones(32, bool)), float)
        kept = ((fair.mean(1) - fair.mean()) @ away) / (away @ away)
        found.append((1 - kept) * 32**2 * (away @ away) / (8 - 3))
    np.testing.assert_allclose(np.mean(found), 32.0, rtol=0.03)  # a result is the sum of 32 windows of variance 1


def test_of_those_who_differ_by_luck_the_best_loses_most_of_its_lead() -> None:
    """Where they truly differ it keeps nearly all of it."""
    rng = np.random.default_rng(1)
    left = {}
    for spread in (0.0, 3.0):
        lead, after = 0.0, 0.0
        for _ in range(200):
            own = rng.normal(0, spread, (16, 1)) + rng.normal(0, 1, (16, 32))
            fair = np.asarray(without_luck(jnp.asarray(own, jnp.float32), jnp.ones(16, bool), jnp.ones(32, bool)))
            lead += own.mean(1).max() - own.mean()
            after += fair.mean(1).max() - fair.mean()
        left[spread] = after / lead
    assert left[0.0] < 0.25
    assert left[3.0] > 0.95


def test_who_is_not_tried_and_windows_that_do_not_count_change_nothing() -> None:
    rng = np.random.default_rng(2)
    own = rng.normal(0, 1, (9, 12)) + rng.normal(0, 0.1, (9, 1))
    tried, counts = np.arange(9) != 4, np.arange(12) < 10
    fair = np.asarray(without_luck(jnp.asarray(own, jnp.float32), jnp.asarray(tried), jnp.asarray(counts)))
    np.testing.assert_allclose(fair[4], own[4], rtol=1e-6)
    changed = own.copy()
    changed[4], changed[:, 10:] = np.nan, 1e6 * rng.normal(size=(9, 2))
    again = np.asarray(without_luck(jnp.asarray(changed, jnp.float32), jnp.asarray(tried), jnp.asarray(counts)))
    np.testing.assert_array_equal(again[tried][:, :10], fair[tried][:, :10])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_of_fewer_than_four_nothing_is_taken(count: int) -> None:
    own = jnp.asarray(np.random.default_rng(3).normal(size=(count, 8)), jnp.float32)
    np.testing.assert_allclose(without_luck(own, jnp.ones(count, bool), jnp.ones(8, bool)), own, atol=1e-6)


def test_a_vacant_place_goes_to_the_best_by_its_score_a_bar() -> None:
    archive, gained = challenge(start(), candidates([7, 3], np.asarray([[0.02], [0.05]]) * np.ones(WINDOWS)))
    assert archive.id[0, 0] == 3
    np.testing.assert_allclose(archive.score[0, 0], 0.05 / 20, rtol=1e-5)
    assert archive.traders[0].genome[0, 0] == 3.0
    np.testing.assert_array_equal(gained.improved[0], [True, False, False, False, False])
    assert gained.previous_id[0, 0] == NOBODY
    np.testing.assert_array_equal(archive.id[0, 1:], NOBODY)


def test_of_equal_scores_the_older_id_wins() -> None:
    archive, _ = challenge(start(), candidates([9, 4, 6], np.ones((3, WINDOWS)), group=2))
    assert archive.id[0, 2] == 4


def held_by(ids: int, windows: np.ndarray) -> Archive:
    archive, _ = challenge(start(), candidates([ids], windows[None]))
    return archive


def test_a_challenger_must_be_better_by_more_than_luck() -> None:
    rng = np.random.default_rng(4)
    base = rng.normal(0, 1, WINDOWS)
    noise = rng.normal(0, 1, WINDOWS)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    for t, wins in ((0.9, False), (1.1, True)):
        better = base + noise + t / np.sqrt(WINDOWS)  # the paired t of these windows is t
        archive, gained = challenge(held_by(1, base), candidates([2], better[None]), t=1.0)
        assert bool(gained.improved[0, 0]) == wins
        assert archive.id[0, 0] == (2 if wins else 1)
        assert archive.traders[0].genome[0, 0] == (2.0 if wins else 1.0)
        assert gained.previous_id[0, 0] == 1


def test_an_equal_or_worse_challenger_leaves_the_incumbent() -> None:
    base = np.random.default_rng(5).normal(size=WINDOWS)
    for other in (base, base - 0.1):
        archive, gained = challenge(held_by(5, base), candidates([2], other[None]), t=0.0)
        assert archive.id[0, 0] == 5
        assert not gained.improved.any()


def test_who_never_traded_is_no_champion() -> None:
    tried, traders = candidates([2], np.ones((1, WINDOWS)))
    _, gained = challenge(start(), (tried._replace(trades=jnp.zeros((1, 1, GROUPS))), traders))
    assert not gained.improved.any()


def test_nobody_is_tried_for_another_group_than_the_one_he_was_named_for() -> None:
    tried, traders = candidates([2], np.ones((1, WINDOWS)), group=1)
    everywhere = tried._replace(windows=jnp.ones_like(tried.windows))
    _, gained = challenge(start(), (everywhere, traders))
    np.testing.assert_array_equal(gained.improved[0], np.arange(GROUPS) == 1)
    unnamed = everywhere._replace(group=jnp.full((1, 1), GROUPS, jnp.int32))
    assert not challenge(start(), (unnamed, traders))[1].improved.any()


def test_windows_with_too_few_bars_of_the_regime_do_not_count() -> None:
    bars = np.full((WINDOWS, GROUPS), 20.0)
    bars[4:, 0] = 3
    windows = np.r_[np.full(4, 0.1), np.full(4, -9.0)]
    archive, _ = challenge(start(), candidates([2], windows[None]), jnp.asarray(bars), bars=16)
    np.testing.assert_allclose(archive.score[0, 0], 0.1 / 20, rtol=1e-5)
    none = bars.copy()
    none[:, 0] = 3
    assert not challenge(start(), candidates([2], windows[None]), jnp.asarray(none), bars=16)[1].improved.any()


def test_an_archive_that_is_off_keeps_nobody() -> None:
    archive, gained = update(
        start(), *candidates([2], np.ones((1, WINDOWS))), BARS[None], ArchiveSettings(enabled=False)
    )
    assert (archive.id == NOBODY).all()
    assert not gained.improved.any()


def test_champions_keep_the_form_of_the_first_archive() -> None:
    """No leaf changes shape, type or weakness of type, else a generation would be compiled twice."""
    before = start()
    after, _ = challenge(before, candidates([2], np.ones((1, WINDOWS))))
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        assert (old.shape, old.dtype, old.weak_type) == (new.shape, new.dtype, new.weak_type)
