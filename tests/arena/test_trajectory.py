"""The transitions that updates see, against the same actions sent bar by bar through the reference broker in float64.

Updates are replaced by ones that keep their batch and turn every brain around, and are shown every transition there
is. What an agent saw and earned is then worked out anew, account by account, from the bars and its actions alone.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.broker import replay
from small_worlds import make_settings, market_of, small_bars

import arena.life
from agents.learning import Batch, LearningSettings, Lesson
from agents.memory import Memory
from arena.life import Chances, draw_chances, live
from arena.rollout import Rollout, Trader
from arena.tally import REGIMES
from genomes.genes import init_genes
from genomes.registry import make_species
from genomes.species import Shape
from markets.tape import rules_at, window

pytestmark = pytest.mark.usefixtures("plainly_compiled")

AGENTS, EPISODES, BARS, EVERY, STEPS = 3, 4, 24, 6, 3
UPDATES = BARS // EVERY
SEEN = BARS - STEPS
"""Bars whose transitions the last update may see."""
SCALE, EPSILON = 0.004, 0.4


class Lived(NamedTuple):
    """A life, and what its updates were given."""

    batch: Any
    """Leaves [agents, updates, …, bars · episodes, …]."""
    targets: np.ndarray
    """Weights of the target network's last layer [agents, updates, inputs, actions]."""
    chances: Chances
    drawn: Chances
    """As a generation has them; `chances` are these with places of our own."""
    trader: Trader
    market: Any
    first: np.ndarray
    tape: Any
    rules: Any


def _recorded(species: Any, genome: Any, target: Any, kept: Any, batch: Batch, rate: Any, settings: Any) -> Any:
    """An update that keeps its batch and its target network, and turns the brain around."""
    count, batches, targets = kept
    batches = jax.tree.map(lambda whole, new: whole.at[count].set(new), batches, batch)
    turned = jax.tree.map(lambda leaf: jnp.roll(leaf, 1, -1), genome)
    targets = targets.at[count].set(target.output.weight)
    return turned, (count + 1, batches, targets), Lesson(jnp.float32(0), jnp.float32(0))


@pytest.fixture(scope="module")
def lived() -> Lived:
    settings = make_settings(
        broker={"commission": 2e-4, "spread_rate": 3e-4, "max_leverage": 30.0, "maintenance": 0.01, "ruin": 0.97}
    )
    market = market_of(settings, small_bars())
    species = make_species("qnetwork", settings.species["qnetwork"], Shape(len(market.features), 4))
    setup = Rollout(species, settings.broker, settings.scars.memory, settings.trust, chunk=4, stops=False)
    keys = jax.random.split(jax.random.key(3), AGENTS)
    genes = jax.vmap(lambda key: init_genes(key, settings.genes))(keys)
    genes = genes._replace(size=jnp.asarray([0.5, 3.0, 25.0]), discount=jnp.asarray([0.5, 0.9, 0.99]))
    genome = jax.vmap(species.init, (0, None))(keys, jnp.zeros((len(market.features) + 4, 2)))
    memory = Memory(jnp.zeros((AGENTS, 1, len(market.features))), jnp.zeros((AGENTS, 1)))
    trader = Trader(genome, genes, memory, jnp.zeros((AGENTS, REGIMES)))
    first = np.asarray(market.tape.train.rows)[[3, 90, 200, 330]]
    played = window(market.tape, jnp.asarray(first), BARS)

    learning = LearningSettings("lamarckian", every=EVERY, steps=STEPS, batch=SEEN * EPISODES, explored=0.5, target=2)
    drawn = draw_chances(jnp.uint32(5), jnp.int32(2), jnp.int32(0), setup, learning, BARS, EPISODES, 1)
    known = EVERY * (1 + np.arange(UPDATES))[:, None] - STEPS
    every = np.broadcast_to(np.repeat(np.arange(SEEN), EPISODES), (UPDATES, SEEN * EPISODES))
    row = np.broadcast_to(np.tile(np.arange(EPISODES), SEEN), every.shape)
    chances = drawn._replace(bar=jnp.asarray(every % known, jnp.int32), row=jnp.asarray(row, jnp.int32))

    rows = SEEN * EPISODES
    form = Batch(
        *(np.zeros((1, rows, len(market.features)), np.float32) for _ in range(2)),
        *(np.zeros((rows, 4), np.float32) for _ in range(2)),
        np.zeros(rows, np.int8),
        *(np.zeros(rows, np.float32) for _ in range(3)),
    )
    kept = jax.tree.map(lambda leaf: jnp.zeros((AGENTS, UPDATES, *leaf.shape), leaf.dtype), form)

    def whole(trader: Trader, market: Any, chances: Chances) -> Any:
        rules = rules_at(settings.broker, tape, jnp.asarray(first))
        outputs = trader.genome.output.weight
        optimiser = jnp.zeros(AGENTS, jnp.int32), kept, jnp.zeros((AGENTS, UPDATES, *outputs.shape[1:]))
        return live(
            setup, trader, jnp.full(AGENTS, EPSILON), optimiser, market, rules, learning, chances, jnp.float32(SCALE)
        )

    tape = market.tape
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arena.life, "update", _recorded)
        _, learned = jax.jit(whole)(trader, played, chances)
    count, batches, targets = jax.device_get(learned.optimiser)
    assert (count == UPDATES).all()
    return Lived(batches, targets, chances, drawn, trader, played, first, tape, settings.broker)


def _of(lived: Lived, leaf: Any, agent: int, episode: int, update: int = UPDATES - 1) -> np.ndarray:
    """What one update saw of one account, bar after bar."""
    return np.asarray(leaf)[agent, update].reshape(SEEN, EPISODES, *np.shape(leaf)[3:])[:, episode]


class Account(NamedTuple):
    """One account in float64: at each decision, what it looked like; and what each bar made of it."""

    view: np.ndarray
    alive: np.ndarray
    reward: np.ndarray


def _replayed(lived: Lived, agent: int, episode: int, action: np.ndarray) -> Account:
    """The account's life under these actions. The broker is asked anew for each bar, so it cannot know what follows."""
    rows = lived.first[episode] + np.arange(len(action) + 1)
    bid, ask, volume, days = (
        np.asarray(leaf, np.float64)[rows]
        for leaf in (lived.tape.bid, lived.tape.ask, lived.tape.volume, lived.tape.days)
    )
    volume = np.where(np.isinf(volume), 0.0, volume)
    atr = np.asarray(lived.tape.atr, np.float64)[rows, 0]
    close = (bid[:, 0, 3] + ask[:, 0, 3]) / 2
    size = float(lived.trader.genes.size[agent])
    rules = lived.rules
    targets = np.full((len(rows), 1), np.nan)
    never = np.full_like(targets, np.nan)
    view, alive, reward = np.zeros((len(action), 4)), np.ones(len(action), bool), np.zeros(len(action))
    peak, held, sign = rules.cash, 0.0, 0.0
    for t in range(len(action)):
        # One bar more than was reached, without any order, so that nothing is closed at the end of what is known.
        past = slice(0, t + 2)
        known = replay(
            bid[past], ask[past], volume[past], days[past, 0], targets[past], never[past], never[past], rules
        )
        equity, units = known.equity[t], known.units[t, 0]
        alive[t] = not known.ruined[: t + 1].any()
        held = 0.0 if units == 0 else held + 1.0 if np.sign(units) == sign else 1.0
        sign = np.sign(units)
        peak = max(peak, equity)
        profit = sign * (close[t] - known.entry[t, 0]) / (close[t] * atr[t]) if units else 0.0
        safe = max(equity, 1e-6 * peak)
        view[t] = units * close[t] / safe, 0.2 * profit, 5 * (1 - equity / peak), 0.25 * np.log1p(held)
        if t:
            reward[t - 1] = known.reward[t]
        wanted = (0.0, 1.0, -1.0)[action[t]] if action[t] >= 0 else 0.0
        targets[t] = np.nan if wanted == sign or not alive[t] else wanted * size
    return Account(np.clip(view, -5, 5), alive, reward)


@pytest.mark.parametrize("agent", range(AGENTS))
def test_updates_see_what_the_reference_broker_makes_of_the_same_actions(lived: Lived, agent: int) -> None:
    ruined = 0
    for episode in range(EPISODES):
        batch = Batch(None, None, *(_of(lived, leaf, agent, episode) for leaf in lived.batch[2:]))
        account = _replayed(lived, agent, episode, np.append(batch.action, batch.action[-1:]))
        gamma = float(lived.trader.genes.discount[agent])
        np.testing.assert_array_equal(batch.weight > 0, account.alive[:SEEN])
        counted = batch.weight > 0
        np.testing.assert_allclose(batch.view[counted], account.view[:SEEN][counted], rtol=1e-4, atol=2e-4)
        ruined += int(not counted.all())
        # Of the last bars the actions are in no transition, so rewards are known up to the bar before these.
        for t in np.flatnonzero(counted)[: SEEN - STEPS]:
            earned = account.reward[t : t + STEPS] / SCALE
            expected = sum(gamma**n * earned[n] for n in range(STEPS))
            np.testing.assert_allclose(batch.reward[t], expected, rtol=1e-4, atol=2e-3)
            follows = account.alive[t + STEPS]
            np.testing.assert_allclose(batch.discount[t], gamma**STEPS * follows, rtol=1e-6)
            if follows:
                np.testing.assert_array_equal(batch.later_view[t], batch.view[t + STEPS])
    assert agent > 0 or ruined == 0
    assert agent < AGENTS - 1 or ruined > 0, "the one that dares most is ruined"


def test_the_market_of_a_transition_is_that_of_its_bars(lived: Lived) -> None:
    features = np.asarray(lived.tape.features)[:, 0]
    for update in range(UPDATES):
        bar, row = np.asarray(lived.chances.bar[update]), np.asarray(lived.chances.row[update])
        assert (bar + STEPS < EVERY * (update + 1)).all(), "what an update learns from has been seen"
        for agent in range(AGENTS):
            for leaf, later in ((lived.batch.features, 0), (lived.batch.later, STEPS)):
                np.testing.assert_array_equal(leaf[agent, update, 0], features[lived.first[row] + bar + later])


def test_updates_draw_from_all_that_has_happened_and_nothing_else(lived: Lived) -> None:
    bar, row = np.asarray(lived.drawn.bar), np.asarray(lived.drawn.row)
    for update in range(UPDATES):
        latest = EVERY * (update + 1) - 1 - STEPS
        assert set(bar[update]) == set(range(latest + 1)), "the bar n bars on has been decided at"
        assert set(row[update]) == set(range(EPISODES))


def test_the_target_is_the_brain_as_it_was_at_every_other_update(lived: Lived) -> None:
    begun = np.asarray(lived.trader.genome.output.weight)
    assert (begun != np.roll(begun, 1, -1)).all()
    for update in range(UPDATES):
        copied = update // 2 * 2  # the brain has been turned around as often
        np.testing.assert_array_equal(lived.targets[:, update], np.roll(begun, copied, -1))


def test_what_has_happened_stays_as_it_was(lived: Lived) -> None:
    """Every update sees of a bar and window what the last one does."""
    last = np.asarray(lived.chances.bar[-1]) * EPISODES + np.asarray(lived.chances.row[-1])
    for update in range(UPDATES):
        place = np.asarray(lived.chances.bar[update]) * EPISODES + np.asarray(lived.chances.row[update])
        same = np.argsort(last)[np.searchsorted(np.sort(last), place)]
        for leaf in lived.batch[2:]:
            np.testing.assert_array_equal(leaf[:, update], leaf[:, -1][:, same])


@pytest.mark.parametrize("agent", range(AGENTS))
def test_actions_are_those_of_the_brain_at_the_time_but_where_agents_stray(lived: Lived, agent: int) -> None:
    own = jax.tree.map(lambda leaf: np.asarray(leaf[agent], np.float64), lived.trader.genome)
    exposures, strayed = np.array([0.0, 1.0, -1.0]), np.zeros(EPISODES)
    for episode in range(EPISODES):
        features, view, action, weight = (
            _of(lived, leaf, agent, episode)
            for leaf in (lived.batch.features[:, :, 0], lived.batch.view, lived.batch.action, lived.batch.weight)
        )
        for bar in np.flatnonzero(weight):
            brain = jax.tree.map(lambda leaf, turns=bar // EVERY: np.roll(leaf, turns, -1), own)
            layer = np.maximum(features[bar] @ brain.market + view[bar] @ brain.account + brain.bias, 0.0)
            for hidden in brain.hidden:
                layer = np.maximum(layer @ hidden.weight + hidden.bias, 0.0)
            values = layer @ brain.output.weight + brain.output.bias
            if float(lived.chances.chance[bar, episode, 0]) < EPSILON:
                strayed[episode] += 1
                assert exposures[action[bar]] == float(lived.chances.direction[bar, episode, 0])
            else:
                assert values[action[bar]] > values.max() - 1e-5
    assert not strayed[[0, 3]].any(), "the last window of the first half is explored, the first of the second, no other"
    assert strayed[2] > 0
