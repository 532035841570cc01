"""What agents see of their account: numbers that a study hides are 0, and no tree asks for them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_worlds import founded, make_settings, market_of

from agents.observation import ACCOUNT_VIEW, input_quantiles
from arena.plan import make_plan
from arena.rollout import Trader, roll_out
from arena.settings import Settings
from markets.errors import UserError
from markets.tape import window

pytestmark = pytest.mark.usefixtures("plainly_compiled")

FOREST = {"forest": {"depth": 3, "market_trees": 2, "state_trees": 8, "feature": 1.0, "regrow": 0.5}}


def views(**changes: object) -> np.ndarray:
    """What a block of networks saw of its accounts, [bars, agents, episodes, instruments, view]."""
    settings = make_settings(**changes)
    market = market_of(settings)
    plan, state = founded(settings, market)
    population = jax.tree.map(lambda leaf: leaf[0], state.populations[0])
    trader = Trader(population.genome, population.genes, population.memory, jnp.zeros((8, 5)))
    windows = window(market.tape, market.tape.validation[0], settings.episodes.bars)
    _, trace = roll_out(plan.rollouts[0], trader, windows, settings.broker, trace=True)
    assert trace is not None
    return np.asarray(trace.view)


def test_hidden_numbers_are_zero_and_the_others_are_as_they_were() -> None:
    seen = views()
    assert (np.abs(seen).max((0, 1, 2, 3)) > 0).all()
    part = views(observation={"account": ["drawdown", "position"]})
    assert not part[..., [1, 3]].any()
    np.testing.assert_array_equal(part[0], seen[0] * np.asarray([1, 0, 1, 0], np.float32))
    assert not views(observation={"account": []}).any()


@pytest.mark.parametrize(("account", "places"), [(list(ACCOUNT_VIEW), {0, 1, 2, 3}), (["holding", "position"], {0, 3})])
def test_trees_ask_for_what_is_seen(account: list[str], places: set[int]) -> None:
    settings = make_settings(species=FOREST, observation={"account": account})
    species = make_plan(settings, 3).rollouts[0].species
    quantiles = input_quantiles(jnp.linspace(-1.0, 1.0, 3)[None].repeat(3, 0))
    keys = jax.random.split(jax.random.key(1), 8)
    founders = jax.vmap(lambda key: species.init(key, quantiles))(keys)
    children = jax.vmap(lambda key, genome: species.mutate(key, genome, jnp.float32(1.0), quantiles))(keys, founders)
    for generation in (founders, children):
        asked = np.asarray(generation.state.feature) - 3
        assert set(asked[asked >= 0].tolist()) == places


def test_a_number_that_is_none_or_named_twice_is_refused() -> None:
    with pytest.raises(UserError, match=r"observation\.account\[0\]: 'equity' is not one of position, unrealised"):
        Settings.build({"observation": {"account": ["equity"]}})
    with pytest.raises(UserError, match=r"observation\.account: .* names a number twice"):
        Settings.build({"observation": {"account": ["position", "position"]}})
