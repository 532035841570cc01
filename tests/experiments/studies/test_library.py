"""The library alone: the best model for each group, at full size, with nothing of evolution's to hold it back."""

import jax
import jax.numpy as jnp
import numpy as np
from small_worlds import make_settings, market_of

from arena.benchmarks import hold, play
from arena.fitness import summarise
from arena.plan import make_plan
from arena.tally import GROUPS
from experiments.studies.judging import Windows
from experiments.studies.library import best_models
from genomes.species import genome_form


def test_the_best_of_each_group_stands_for_it_as_if_it_asked_directly() -> None:
    settings = make_settings(
        species={"forest": {"market_trees": 1, "state_trees": 1, "depth": 1}}, episodes={"validation": 12}
    )
    market = market_of(settings)
    setup = make_plan(settings, len(market.features)).rollouts[0]
    assert setup.stops
    assert setup.trust.enabled
    assert setup.memory.enabled
    silent = jax.tree.map(lambda leaf: jnp.zeros((3, *leaf.shape), leaf.dtype), genome_form(setup.species))
    says = silent._replace(bias=jnp.eye(3)[jnp.asarray([2, 0, 1])])  # sell, neutral, buy
    own = Windows(market.tape, market.tape.validation[0], settings.episodes.bars)
    found = best_models(setup, says, own, 1)
    held = [hold(settings, own.tape, own.first, direction) for direction in (-1.0, 0.0, 1.0)]
    stats = summarise(play(found.setup, found.traders, own.tape, own.first, own.bars))
    want = np.stack([np.asarray(each.log_return[0]) for each in held])
    np.testing.assert_allclose(np.asarray(stats.log_return), want, atol=1e-7)
    np.testing.assert_array_equal(np.asarray(stats.trades), np.stack([np.asarray(each.trades[0]) for each in held]))
    assert set(found.stands) == {g for g in range(GROUPS) if held[0].bars[0, g] > 0}
    for group, (place, identity) in found.stands.items():
        assert place == identity == want[:, group].argmax()
    assert len({place for place, _ in found.stands.values()}) > 1
    assert not best_models(setup, says, own, own.bars + 1).stands, "no window has so many bars of any group"
