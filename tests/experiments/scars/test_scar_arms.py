"""Who a sham is given to, and which episode of whom an event is."""

from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from plainly import plainly

from agents.population import Population
from arena.rollout import Trace
from experiments.scars.arms import Events, matched, no_events, own_events
from experiments.scars.plan import ScarPlan


class Ids:
    """As much of a population as matching looks at."""

    def __init__(self, count: int) -> None:
        self.id = jnp.arange(100, 100 + count, dtype=jnp.uint32)


def given(calm: list[float], episode: list[int], made: list[bool]) -> Events:
    events: Any = no_events((), len(calm), 1)
    return events._replace(
        made=jnp.asarray(made), calm=jnp.asarray(calm), episode=jnp.asarray(episode), severity=jnp.full(len(calm), 0.3)
    )


def shams(calm: list[float], ruined: list[list[int]], events: Events) -> tuple[list[int], list[bool]]:
    population = cast("Population", Ids(len(calm)))
    with plainly():
        match = jax.jit(lambda given, calm, ruined: matched(given, population, calm, ruined))
        found = match(events, jnp.asarray(calm), jnp.asarray(ruined, bool))
    assert np.asarray(found.id)[np.asarray(found.made)].tolist() == [
        100 + slot for slot, made in zip(found.slot.tolist(), found.made.tolist(), strict=True) if made
    ]
    return found.slot.tolist(), found.made.tolist()


def test_the_nearest_that_nothing_ruined_is_taken_and_nobody_twice() -> None:
    calm = [0.10, 0.11, 0.20, 0.21]
    spared = [[0, 0]] * 4
    assert shams(calm, spared, given([0.12, 0.12, 0.195], [0, 1, 0], [True, True, True]))[0] == [1, 0, 2]
    ruined = [[0, 0], [0, 1], [0, 0], [0, 0]]  # the nearest was ruined, if elsewhere: the next is taken
    assert shams(calm, ruined, given([0.12], [0], [True])) == ([0], [True])


def test_where_nobody_else_is_left_the_events_own_window_decides() -> None:
    calm = [0.10, 0.11, 0.20]
    ruined = [[1, 0], [0, 1], [1, 1]]
    assert shams(calm, ruined, given([0.2], [0], [True])) == ([1], [True])
    assert shams(calm, ruined, given([0.2], [1], [True])) == ([0], [True])
    slots, made = shams(calm, ruined, given([0.2, 0.2], [0, 0], [True, True]))
    assert (slots[0], made) == (1, [True, False])


def test_an_event_that_was_not_made_takes_nobody() -> None:
    assert shams([0.1, 0.2], [[0], [0]], given([0.1, 0.1], [0, 0], [False, True])) == ([0, 0], [False, True])


def test_an_event_runs_from_the_last_high_before_the_deepest_fall_to_its_bottom() -> None:
    plan = ScarPlan(scars=2)
    equity = np.full((6, 3, 2), 100.0, np.float32)  # bars, agents, episodes
    equity[:, 1, 1] = [101, 105, 104, 70, 72, 90]
    equity[:, 2, 0] = [100, 99, 85, 86, 80, 80]
    severity = jnp.asarray([[0.0, 0.0], [0.05, 0.3], [0.2, 0.1]])
    cause = jnp.asarray([[0, 0], [1, 3], [1, 1]], jnp.uint8)
    empty = jnp.zeros(())
    trace = Trace(jnp.asarray(equity), empty, empty, empty)
    events = jax.jit(own_events, static_argnums=(0, 1, 6))(
        plan, cast("Population", Ids(3)), severity, cause, jnp.asarray([0.1, 0.2, 0.3]), trace, 100.0
    )
    assert events.slot.tolist() == [1, 2]
    assert events.id.tolist() == [101, 102]
    assert events.episode.tolist() == [1, 0]
    assert events.cause.tolist() == [3, 1]
    assert events.made.tolist() == [True, True]
    assert events.onset.tolist() == [2, 0]  # counted from the first decision, where nothing has been earned
    assert events.bottom.tolist() == [4, 5]
    np.testing.assert_allclose(events.calm, [0.2, 0.3])
