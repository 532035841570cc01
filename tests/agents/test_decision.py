"""From action values to orders, and what an agent sees of itself."""

import jax.numpy as jnp
import numpy as np

from agents.decision import direction, order
from agents.observation import ACCOUNT_VIEW, account_view
from genomes.genes import Genes
from genomes.species import DEFAULT_ACTIONS, ActionSpace
from markets.account import Account


def genes(**changes: float) -> Genes:
    values = {"size": 0.5, "stop": 2.0, "take_profit": 4.0} | changes
    return Genes(*(jnp.asarray([values.get(name, 0.1)]) for name in Genes._fields))


def one(value: float) -> jnp.ndarray:
    return jnp.asarray([[[value]]], jnp.float32)


def test_the_best_value_names_the_direction() -> None:
    values = jnp.asarray([[3.0, 1.0, 2.0], [1.0, 3.0, 2.0], [1.0, 2.0, 3.0]])
    np.testing.assert_array_equal(direction(values, DEFAULT_ACTIONS), [0.0, 1.0, -1.0])


def test_ties_go_to_the_earlier_action() -> None:
    values = jnp.asarray([[1.0, 1.0, 1.0], [0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
    np.testing.assert_array_equal(direction(values, DEFAULT_ACTIONS), [0.0, 1.0, 0.0])


def test_any_action_space_is_decoded_like_an_argmax() -> None:
    space = ActionSpace(("a", "b", "c", "d"), (0.0, 0.5, 1.0, -0.25))
    values = np.random.default_rng(0).normal(size=(50, 4))
    want = np.asarray(space.exposures)[values.argmax(1)]
    np.testing.assert_allclose(direction(jnp.asarray(values, jnp.float32), space), want)


def test_a_direction_already_held_is_no_order() -> None:
    for units, wanted, target in ((5.0, 1.0, np.nan), (-5.0, -1.0, np.nan), (0.0, 0.0, np.nan), (5.0, -1.0, -0.5)):
        asked = order(one(wanted), one(units), one(1.0), jnp.asarray([[0.01]]), genes(), stops=True)
        np.testing.assert_allclose(asked.target[0, 0, 0], target)


def test_neutral_asks_for_nothing_held() -> None:
    assert order(one(0.0), one(3.0), one(0.7), jnp.asarray([[0.01]]), genes(), stops=True).target == 0


def test_the_target_is_direction_times_size_times_factor() -> None:
    asked = order(one(-1.0), one(0.0), one(0.4), jnp.asarray([[0.01]]), genes(size=0.75), stops=False)
    np.testing.assert_allclose(asked.target, -0.3, rtol=1e-6)


def test_stops_are_asked_for_in_atr() -> None:
    asked = order(one(1.0), one(0.0), one(1.0), jnp.asarray([[0.01]]), genes(stop=3.0, take_profit=7.0), stops=True)
    np.testing.assert_allclose(asked.stop_loss, 0.03, rtol=1e-6)
    np.testing.assert_allclose(asked.take_profit, 0.07, rtol=1e-6)
    far = order(one(1.0), one(0.0), one(1.0), jnp.asarray([[0.4]]), genes(stop=3.0), stops=True)
    np.testing.assert_allclose(far.stop_loss, 0.95, rtol=1e-6)  # never beyond the price itself
    without = order(one(1.0), one(0.0), one(1.0), jnp.asarray([[0.4]]), genes(), stops=False)
    assert np.isnan(without.stop_loss)
    assert np.isnan(without.take_profit)


def view(units: float, entry: float, equity: float, peak: float, held: float, close: float = 110.0) -> np.ndarray:
    blank = jnp.full((1,), jnp.nan)
    account = Account(
        balance=jnp.float32(equity),
        financing=jnp.float32(0),
        units=jnp.asarray([units]),
        entry=jnp.asarray([entry]),
        stop=blank,
        take_profit=blank,
        stop_distance=blank,
        trade=jnp.zeros(1),
        equity=jnp.float32(equity),
        alive=jnp.asarray(True),
    )
    seen = account_view(account, jnp.asarray([close]), jnp.asarray([0.05]), jnp.float32(peak), jnp.asarray([held]))
    return np.asarray(seen)[0]


def test_an_agent_sees_exposure_profit_drawdown_and_holding() -> None:
    assert ACCOUNT_VIEW == ("position", "unrealised", "drawdown", "holding")
    seen = view(units=-50.0, entry=120.0, equity=10_000.0, peak=12_500.0, held=6.0)
    atr = 110.0 * 0.05
    want = [-50 * 110 / 10_000, 0.2 * (120 - 110) / atr, 5 * (1 - 10_000 / 12_500), 0.25 * np.log(7)]
    np.testing.assert_allclose(seen, want, rtol=1e-5)


def test_a_flat_agent_at_its_peak_sees_nothing() -> None:
    np.testing.assert_array_equal(view(0.0, 90.0, 10_000.0, 10_000.0, 0.0), 0.0)


def test_what_it_sees_is_clipped_and_finite_even_without_money() -> None:
    seen = view(units=1e6, entry=1.0, equity=-3.0, peak=10_000.0, held=1e9)
    assert np.isfinite(seen).all()
    assert (np.abs(seen) <= 5).all()
