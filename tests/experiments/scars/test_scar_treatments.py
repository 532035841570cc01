"""What arms do to brains whose activity is known: which units are hit, who dies, what is remembered."""

from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from plainly import plainly

from agents.memory import forget
from agents.population import Population
from arena.keys import Purpose, fold
from arena.rollout import Trace
from experiments.scars.arms import Events, no_events, on_schedule, treat
from experiments.scars.generation import _freed  # the one step of a generation that nothing outside tells of
from experiments.scars.plan import Arm, ScarPlan, make_parts
from experiments.scars.worlds import FEATURES
from genomes.qnetwork import Layer, Network
from markets.tape import MarketWindow

SLOTS, BARS, EPISODES = 24, 12, 3
PLAN = ScarPlan(learning=False, agents=SLOTS, bars=BARS, episodes=EPISODES, hidden=(4, 6), scars=20, every=2)
PARTS = make_parts(PLAN, FEATURES)
SPOKE = np.asarray([0.40, 0.30, 0.20, 0.10]), np.asarray([0.35, 0.22, 0.18, 0.12, 0.08, 0.05])
"""Shares of the units of each layer, loudest first; over both layers the first three are 0.40, 0.35 and 0.30."""
SEED = jnp.uint32(7)
QUANTILES = jnp.zeros((FEATURES + 4, 9))  # networks do not look at them


def orders() -> tuple[np.ndarray, np.ndarray]:
    """Which unit of each agent is the loudest of its layer, the next, …"""
    rng = np.random.default_rng(3)
    first, second = (np.stack([rng.permutation(width) for _ in range(SLOTS)]) for width in (4, 6))
    return first, second


def brains(first: np.ndarray, second: np.ndarray) -> Network:
    """Units speak so, by rank, wherever feature 0 is zero; elsewhere those of the first layer speak the other way."""
    market = np.zeros((SLOTS, FEATURES, 4), np.float32)
    bias, deeper = np.zeros((SLOTS, 4), np.float32), np.zeros((SLOTS, 6), np.float32)
    for slot, (one, two) in enumerate(zip(*orders(), strict=True)):
        bias[slot, one] = 100 * first
        market[slot, 0, one] = 1000 * first[::-1]
        deeper[slot, two] = 100 * second - 100 * first.sum()
    ones = np.ones((SLOTS, 4, 6), np.float32), np.ones((SLOTS, 6, 3), np.float32)
    account = np.zeros((SLOTS, 4, 4), np.float32)
    none = np.zeros((SLOTS, 3), np.float32)
    leaves: Any = (market, account, bias, (Layer(ones[0], deeper),), Layer(ones[1], none))
    return cast("Network", jax.tree.map(jnp.asarray, Network(*leaves)))


def learned() -> Network:
    """Other brains than those that acted, nowhere zero."""
    rng = np.random.default_rng(4)
    like = brains(*SPOKE)
    return cast("Network", jax.tree.map(lambda leaf: jnp.asarray(rng.uniform(1, 2, leaf.shape), jnp.float32), like))


def population(genome: Network) -> Population:
    nothing: Any = ()
    return Population(
        genome=genome,
        genes=nothing,
        id=jnp.arange(50, 50 + SLOTS, dtype=jnp.uint32),
        born=jnp.zeros(SLOTS, jnp.int32),
        epsilon=nothing,
        memory=forget((SLOTS,), 4, FEATURES),
        reputation=nothing,
        standing=nothing,
    )


def market(features: np.ndarray) -> MarketWindow:
    nothing: Any = ()
    return MarketWindow(jnp.asarray(features, jnp.float32), nothing, nothing, nothing, nothing)


def trace() -> Trace:
    nothing: Any = ()
    return Trace(jnp.zeros((BARS, SLOTS, EPISODES)), nothing, nothing, jnp.zeros((BARS, SLOTS, EPISODES, 1, 4)))


def seen() -> np.ndarray:
    """Features that lean on 0 in all bars but the drawdown's, 4 to 8 of window 1."""
    features = np.random.default_rng(5).standard_normal((BARS, EPISODES, 1, FEATURES)).astype(np.float32)
    features[..., 0] = 1.0
    features[4:8, 1, :, 0] = 0.0
    return features


def events() -> Events:
    """Of twenty agents in no order; all severe but the second, and the last is not made."""
    empty: Any = no_events((), 20, 2)
    slots = np.random.default_rng(6).permutation(SLOTS)[:20].astype(np.int32)
    severity = np.ones(20, np.float32)
    severity[1] = 0.3
    return cast(
        "Events",
        empty._replace(
            made=np.arange(20) < 19,
            slot=slots,
            id=(50 + slots).astype(np.uint32),
            episode=np.full(20, 1, np.int32),
            onset=np.full(20, 4, np.int32),
            bottom=np.full(20, 8, np.int32),
            severity=severity,
            layers=np.tile(np.asarray([1, 2], np.int32), (20, 1)),
        ),
    )


@pytest.fixture(scope="module")
def treated() -> dict[Arm, tuple[Population, Events, np.ndarray]]:
    """What each arm made of the same events."""
    acted, own = brains(*SPOKE), population(learned())

    def run(arm: Any) -> Any:
        return treat(PLAN, PARTS, arm, own, acted, events(), market(seen()), trace(), QUANTILES, SEED, jnp.int32(3))

    with plainly():
        program = jax.jit(run)
        return {arm: jax.device_get(program(jnp.int32(arm))) for arm in Arm}


def changed(after: Network, before: Network) -> np.ndarray:
    """Units whose bias is zero now, [slots, units]; nothing else of any other unit has changed."""
    gone = [np.asarray(after.bias) == 0, np.asarray(after.hidden[0].bias) == 0]
    for layer, (own, was) in enumerate(((after.bias, before.bias), (after.hidden[0].bias, before.hidden[0].bias))):
        assert (np.asarray(own) == np.asarray(was))[~gone[layer]].all()
    incoming = np.asarray(after.market) != np.asarray(before.market), np.asarray(after.account) != before.account
    for own in incoming:
        assert (own == gone[0][:, None, :]).all()
    between = np.where(gone[0][:, :, None], np.asarray(after.hidden[0].weight) == 0, False)
    assert (between | ~gone[0][:, :, None] | gone[1][:, None, :]).all()
    kept = ~gone[0][:, :, None] & ~gone[1][:, None, :]
    assert (np.asarray(after.hidden[0].weight) == np.asarray(before.hidden[0].weight))[kept].all()
    assert ((np.asarray(after.output.weight) == 0) == gone[1][:, :, None]).all()
    return np.concatenate(gone, axis=1)


def ranked(loud: bool, first: int, second: int) -> np.ndarray:
    """The loudest units of each layer, or the quietest, that many; [slots, units]."""
    hit = np.zeros((SLOTS, 10), bool)
    for slot, (one, two) in enumerate(zip(*orders(), strict=True)):
        hit[slot, (one if loud else one[::-1])[:first]] = True
        hit[slot, 4 + (two if loud else two[::-1])[:second]] = True
    return hit


@pytest.mark.parametrize(
    ("arm", "loud", "severe", "slight"),
    [
        (Arm.SCARS, True, (2, 1), (1, 0)),
        (Arm.INVERTED, False, (2, 1), (1, 0)),
        (Arm.SHAM, True, (1, 2), (1, 2)),  # as its pair says, whatever spoke most over both layers
    ],
)
def test_the_most_active_units_are_hit_or_the_least(
    treated: dict[Arm, Any], arm: Arm, loud: bool, severe: tuple[int, int], slight: tuple[int, int]
) -> None:
    after, told, hits = treated[arm]
    own = events()
    wanted = np.zeros((SLOTS, 10), bool)
    for number, slot in enumerate(own.slot[:19]):
        wanted[slot] = ranked(loud, *(slight if number == 1 else severe))[slot]
    assert (changed(after.genome, learned()) == wanted).all()
    assert (hits.astype(bool)[:19] == wanted[np.asarray(own.slot[:19])]).all()
    assert not hits[19].any()
    assert told.layers[:19].tolist() == [list(slight if number == 1 else severe) for number in range(19)]


def test_random_units_are_as_many_of_the_same_layers_and_neither_loud_nor_quiet(treated: dict[Arm, Any]) -> None:
    after, _, hits = treated[Arm.PERMUTED]
    slots = np.asarray(events().slot[:19])
    own = changed(after.genome, learned())
    assert (own[slots] == hits[:19].astype(bool)).all()
    assert own.sum() == hits.sum()
    assert (hits[:19, :4].sum(1) == np.where(np.arange(19) == 1, 1, 2)).all()
    assert (hits[:19, 4:].sum(1) == np.where(np.arange(19) == 1, 0, 1)).all()
    first, second = orders()
    loud = np.stack([hits[number, first[slot]] for number, slot in enumerate(slots)]).mean(0)
    assert loud.min() > 0.2  # a half is to be expected of each rank, 0.97 and 0 of the loudest and the quietest
    assert loud.max() < 0.8
    deep = np.stack([hits[number, 4 + second[slot]] for number, slot in enumerate(slots)]).mean(0)
    assert deep.max() < 0.5


def test_memory_keeps_what_the_market_looked_like_at_the_onset(treated: dict[Arm, Any]) -> None:
    after, _, hits = treated[Arm.MEMORY]
    own = events()
    assert not hits.any()
    assert jax.tree.all(jax.tree.map(lambda x, y: (x == np.asarray(y)).all(), after.genome, learned()))
    weight = np.zeros(SLOTS, np.float32)
    weight[own.slot[:19]] = own.severity[:19]
    assert after.memory.weight[:, 0].tolist() == weight.tolist()
    assert (after.memory.features[own.slot[:19], 0] == seen()[4, 1, 0]).all()
    assert (after.memory.weight[:, 1:] == 0).all()


@pytest.mark.parametrize("arm", [Arm.NONE, Arm.DORMANT, Arm.SHRINK, Arm.CULLING])
def test_other_arms_do_nothing_to_a_brain_for_an_event(treated: dict[Arm, Any], arm: Arm) -> None:
    after, _, hits = treated[arm]
    assert not hits.any()
    assert not changed(after.genome, learned()).any()
    assert not after.memory.weight.any()


def test_on_schedule_the_dormant_are_reset_and_weights_shrink() -> None:
    # Shares times the width of the layer are 0.12 and 0.08 of the last two, in either layer; 0.1 is the bound.
    acted = brains(
        np.asarray([0.50, 0.45, 0.03, 0.02]), np.asarray([0.30, 0.30, 0.30, 0.08 - 0.02 / 3, 0.02, 0.02 / 3])
    )
    own, flat = population(learned()), market(np.zeros((BARS, EPISODES, 1, FEATURES)))

    def run(arm: Any, generation: Any) -> Any:
        return on_schedule(PLAN, PARTS, arm, own, acted, flat, trace(), QUANTILES, SEED, generation).genome

    def fresh(identity: Any) -> Any:
        key = jax.random.fold_in(fold(SEED, jnp.int32(3), Purpose.SCAR, identity), 2)
        return PARTS.species.init(key, QUANTILES)

    with plainly():
        program = jax.jit(run)
        made = {(arm, at): jax.device_get(program(jnp.int32(arm), jnp.int32(at))) for arm in Arm for at in (2, 3)}
        new = jax.jit(jax.vmap(fresh))(own.id)
    assert (changed(made.pop((Arm.DORMANT, 3)), own.genome) == ranked(False, 1, 1)).all()
    mixed = jax.tree.map(lambda old, other: 0.9 * old + 0.1 * other, own.genome, new)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6), made.pop((Arm.SHRINK, 3)), mixed)
    for genome in made.values():
        assert not changed(genome, own.genome).any()


def test_culling_takes_the_worst_hit_before_the_last_by_rank_and_respects_grace() -> None:
    plan = ScarPlan(learning=False, agents=8, births=2, scars=2)
    parts = make_parts(plan, FEATURES)
    empty: Any = no_events((), 2, 2)
    hit = empty._replace(made=np.asarray([True, False]), slot=np.asarray([5, 6], np.int32))
    scores = jnp.arange(8.0)[:, None]
    ever = jnp.full(8, -1000, jnp.int32)

    def run(arm: Any, born: Any, graced: Any, generation: Any) -> Any:
        own: Any = population(brains(*SPOKE))._replace(id=jnp.arange(8, dtype=jnp.uint32), born=born)
        return _freed(plan, parts, arm, own, scores, hit, graced, generation)

    with plainly():
        program = jax.jit(run)

        def dead(arm: Arm, generation: int, born: dict[int, int], graced: dict[int, int]) -> list[int]:
            births, marks = jnp.zeros(8, jnp.int32), ever
            for slot, at in born.items():
                births = births.at[slot].set(at)
            for slot, at in graced.items():
                marks = marks.at[slot].set(at)
            return np.flatnonzero(program(jnp.int32(arm), births, marks, jnp.int32(generation))).tolist()

        assert dead(Arm.NONE, 10, {}, {5: 10}) == [0, 1]
        assert dead(Arm.CULLING, 10, {}, {5: 10}) == [0, 5]
        assert dead(Arm.NONE, 10, {0: 8}, {1: 8, 2: 7}) == [2, 3]  # grace lasts three generations
        assert dead(Arm.CULLING, 10, {0: 8}, {1: 8, 2: 7, 5: 10}) == [2, 5]
        assert dead(Arm.CULLING, 10, {5: 9}, {5: 10}) == [0, 5]  # of the worst hit no grace is taken into account
        assert dead(Arm.CULLING, 2, {}, {5: 2}) == []  # as long as founders have grace nobody dies
