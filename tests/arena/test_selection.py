"""Selection: what each rule promises, on scores where the answer is known."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from arena.fitness import CASES
from arena.selection import SelectionSettings, _lexicase, choose_parents

pytestmark = pytest.mark.usefixtures("plainly_compiled")

AGENTS = 12


def parents(
    scores: np.ndarray,
    *,
    children: int = 400,
    eligible: np.ndarray | None = None,
    idle: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    may_be_idle: np.ndarray | None = None,
    **settings: Any,
) -> np.ndarray:
    agents = len(scores)
    choose = jax.jit(choose_parents, static_argnums=6)
    return np.asarray(
        choose(
            jax.random.split(jax.random.key(0), children),
            jnp.asarray(scores, jnp.float32),
            jnp.asarray(np.ones(agents, bool) if eligible is None else eligible),
            jnp.asarray(np.zeros(agents, bool) if idle is None else idle),
            jnp.asarray(np.ones(agents) if weight is None else weight, jnp.float32),
            jnp.asarray(np.ones(children, bool) if may_be_idle is None else may_be_idle),
            SelectionSettings(**settings),
        )
    )


def lexicase_by_hand(scores: np.ndarray, epsilon: np.ndarray, cases: list[int]) -> int:
    left = list(range(len(scores)))
    for case in cases:
        best = max(scores[i, case] for i in left)
        left = [i for i in left if scores[i, case] >= best - epsilon[case]]
    return left[0]


def test_lexicase_filters_case_after_case() -> None:
    rng = np.random.default_rng(0)
    for seed in range(20):
        scores = rng.normal(size=(8, CASES)).astype(np.float32)
        epsilon = rng.uniform(0, 1, CASES).astype(np.float32)
        cases = np.random.default_rng(seed).permutation(CASES)
        got = _lexicase(jnp.asarray(scores), jnp.asarray(epsilon), jnp.asarray(cases))
        assert int(got) == lexicase_by_hand(scores, epsilon, list(cases))


def test_lexicase_keeps_specialists_that_a_tournament_loses() -> None:
    """One agent is the best in one case and the worst in all others."""
    scores = np.random.default_rng(1).normal(size=(AGENTS, CASES))
    scores[3] = -10.0
    scores[3, 2] = 10.0
    chosen = parents(scores, kind="lexicase", pool=2 * AGENTS)
    share = (chosen == 3).mean()
    assert 0.02 < share < 0.35, "it wins when its case comes early, one time in ten, and is mostly in the pool"
    assert not (parents(scores, kind="tournament", tournament=3) == 3).any()


def test_within_epsilon_is_good_enough() -> None:
    """ε is the median absolute deviation: two agents closer than that to the best are both chosen."""
    scores = np.tile(np.asarray([1.0, 0.9, 0.0, -1.0, 0.5, -0.5])[:, None], (1, CASES))
    chosen = parents(scores, kind="lexicase", pool=64)
    assert set(np.unique(chosen)) == {0, 1, 4}, "MAD of these scores is 0.6, so 0.5 is within it and 0 is not"


def test_a_case_without_a_difference_passes_everyone() -> None:
    scores = np.zeros((AGENTS, CASES))
    assert len(np.unique(parents(scores, kind="lexicase", pool=4))) == AGENTS


@pytest.mark.parametrize("kind", ["lexicase", "tournament", "truncation"])
def test_who_is_not_eligible_is_never_chosen(kind: str) -> None:
    eligible = np.arange(AGENTS) % 3 == 0
    chosen = parents(
        np.random.default_rng(2).normal(size=(AGENTS, CASES)), kind=kind, eligible=eligible, truncation=1.0
    )
    assert set(np.unique(chosen)) <= set(np.flatnonzero(eligible))


@pytest.mark.parametrize("kind", ["lexicase", "tournament", "truncation"])
def test_where_nobody_is_eligible_all_are(kind: str) -> None:
    chosen = parents(np.zeros((AGENTS, CASES)), kind=kind, eligible=np.zeros(AGENTS, bool))
    assert ((chosen >= 0) & (chosen < AGENTS)).all()


@pytest.mark.parametrize("kind", ["lexicase", "tournament", "truncation"])
def test_idle_agents_are_parents_only_of_children_that_may_have_them(kind: str) -> None:
    idle = np.arange(AGENTS) < 9
    scores = np.where(idle[:, None], 5.0, -5.0) * np.ones((AGENTS, CASES))  # idleness looks best
    may = np.arange(400) < 40
    chosen = parents(scores, kind=kind, idle=idle, may_be_idle=may, pool=32, truncation=0.5)
    assert not idle[chosen[~may]].any()
    assert idle[chosen[may]].mean() > 0.5


def test_idle_agents_are_parents_where_there_is_no_one_else() -> None:
    chosen = parents(np.zeros((AGENTS, CASES)), idle=np.ones(AGENTS, bool), may_be_idle=np.zeros(400, bool), pool=4)
    assert len(np.unique(chosen)) == AGENTS


def test_the_lottery_is_weighed() -> None:
    weight = np.arange(1.0, AGENTS + 1)
    chosen = parents(np.zeros((AGENTS, CASES)), kind="truncation", truncation=1.0, weight=weight, children=4000)
    share = np.bincount(chosen, minlength=AGENTS) / 4000
    np.testing.assert_allclose(share, weight / weight.sum(), atol=0.03)


def test_without_weight_no_one_is_drawn_unless_nobody_has_any() -> None:
    eligible = np.arange(AGENTS) < 6
    some = np.where(np.arange(AGENTS) % 2 == 0, 0.0, 1.0)
    chosen = parents(np.zeros((AGENTS, CASES)), kind="lexicase", pool=4, eligible=eligible, weight=some)
    assert set(np.unique(chosen)) == {1, 3, 5}
    chosen = parents(np.zeros((AGENTS, CASES)), kind="lexicase", pool=4, eligible=eligible, weight=np.zeros(AGENTS))
    assert set(np.unique(chosen)) == set(range(6))


def test_truncation_lets_the_best_share_breed_and_no_other() -> None:
    score = np.random.default_rng(3).permutation(AGENTS).astype(float)
    scores = np.tile(score[:, None], (1, CASES))
    chosen = parents(scores, kind="truncation", truncation=0.25)
    assert set(np.unique(chosen)) == set(np.argsort(-score)[:3])


def test_a_tournament_is_won_by_the_best_of_its_draw() -> None:
    """Chance that the best of n is chosen in a tournament of k drawn with replacement: 1 − (1 − 1/n)^k."""
    scores = np.tile(np.arange(AGENTS, dtype=float)[:, None], (1, CASES))
    chosen = parents(scores, kind="tournament", tournament=4, children=4000)
    np.testing.assert_allclose((chosen == AGENTS - 1).mean(), 1 - (1 - 1 / AGENTS) ** 4, atol=0.03)
    assert (parents(scores, kind="tournament", tournament=200) == AGENTS - 1).all()


def test_a_childs_parent_follows_from_its_own_key() -> None:
    scores = np.random.default_rng(5).normal(size=(AGENTS, CASES))
    np.testing.assert_array_equal(parents(scores, children=50, pool=4), parents(scores, children=50, pool=4))
