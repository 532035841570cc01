"""Selection: which agents become parents.

ε-lexicase (La Cava et al. 2016) on bounded random pools keeps specialists alive: a child's parent must be within ε of
the best of its pool on one case after another, in random order; ε is the median absolute deviation of the case over
the island. Tournament and truncation look at the overall score. Pools are drawn by lottery; trust may weigh it. Agents
that never trade are kept to a bounded share of parenthood: doing nothing is the safest way to be mediocre.
"""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32, Key, PRNGKeyArray

from arena.fitness import overall

__all__ = ["SelectionSettings", "choose_parents"]


@dataclasses.dataclass(frozen=True)
class SelectionSettings:
    """How parents are chosen.

    Attributes:
        kind: `lexicase`, `tournament` or `truncation`.
        pool: candidates a lexicase pool holds.
        tournament: candidates a tournament holds.
        truncation: share of agents that truncation lets breed.
        idle: largest share of parenthood for agents that never trade.
    """

    kind: Literal["lexicase", "tournament", "truncation"] = "lexicase"
    pool: int = dataclasses.field(default=64, metadata={"ge": 2})
    tournament: int = dataclasses.field(default=4, metadata={"ge": 1})
    truncation: float = dataclasses.field(default=0.25, metadata={"gt": 0.0, "le": 1.0})
    idle: float = dataclasses.field(default=0.1, metadata={"ge": 0.0, "le": 1.0})


def choose_parents(
    keys: Key[Array, "children"],
    scores: Float[Array, "agents cases"],
    eligible: Bool[Array, "agents"],
    idle: Bool[Array, "agents"],
    weight: Float[Array, "agents"],
    may_be_idle: Bool[Array, "children"],
    settings: SelectionSettings,
) -> Int32[Array, "children"]:
    """Slot of the parent of each child.

    Args:
        keys: one for each child, [children].
        scores: standing by case.
        eligible: who may become a parent; all may where nobody is.
        idle: who never trades.
        weight: in the lottery, at least 0.
        may_be_idle: which children may have an idle parent, where anyone else is eligible.
        settings: see `SelectionSettings`.
    """
    eligible = jnp.where(eligible.any(), eligible, True)
    busy = eligible & ~idle
    busy = jnp.where(busy.any(), busy, eligible)
    if settings.kind == "truncation":
        eligible, busy = (_best(overall(scores), who, settings.truncation) for who in (eligible, busy))
    tickets = jnp.stack([_tickets(weight, who) for who in (busy, eligible)])
    deviation = jnp.median(jnp.abs(scores - jnp.median(scores, axis=0)), axis=0)

    def one(key: PRNGKeyArray, idle_allowed: Array) -> Array:
        lottery = tickets[idle_allowed.astype(jnp.int32)]
        if settings.kind == "truncation":
            return _drawn(jax.random.uniform(key, (1,)), lottery)[0]
        if settings.kind == "tournament":
            pool = _drawn(jax.random.uniform(key, (settings.tournament,)), lottery)
            return pool[jnp.argmax(overall(scores)[pool])]
        # One draw for the pool and for the order of the cases: each draw is a loop that has to be compiled.
        shares = jax.random.uniform(key, (settings.pool + scores.shape[1],))
        pool = _drawn(shares[: settings.pool], lottery)
        return pool[_lexicase(scores[pool], deviation, jnp.argsort(shares[settings.pool :]))]

    chosen: Array = jax.vmap(one)(keys, may_be_idle)
    return chosen


def _lexicase(scores: Float[Array, "pool cases"], epsilon: Float[Array, "cases"], cases: Array) -> Array:
    """The first of those who stay within ε of the best of those left, case after case."""

    def filter_by(left: Array, case: Array) -> tuple[Array, None]:
        best = jnp.max(jnp.where(left, scores[:, case], -jnp.inf))
        return left & (scores[:, case] >= best - epsilon[case]), None

    left, _ = jax.lax.scan(filter_by, jnp.ones(scores.shape[0], bool), cases)
    return jnp.argmax(left)


def _tickets(weight: Float[Array, "agents"], who: Bool[Array, "agents"]) -> Float[Array, "agents"]:
    """Cumulative tickets of those who may be drawn; all alike where none of them has any weight."""
    own = jnp.where(who, weight, 0.0)
    return jnp.cumsum(jnp.where((own > 0).any(), own, who.astype(own.dtype)))


def _drawn(shares: Float[Array, "count"], tickets: Float[Array, "agents"]) -> Int32[Array, "count"]:
    """Slots drawn with replacement, by cumulative tickets and shares in [0, 1); one without tickets is never drawn."""
    # 1 − share is in (0, 1]: the lowest must pass slots without tickets.
    return jnp.searchsorted(tickets, (1.0 - shares) * tickets[-1], side="left").astype(jnp.int32)


def _best(score: Float[Array, "agents"], who: Bool[Array, "agents"], share: float) -> Bool[Array, "agents"]:
    """The best `share` of those who count."""
    rank = jnp.argsort(jnp.argsort(jnp.where(who, -score, jnp.inf)))
    return who & (rank < jnp.maximum(jnp.ceil(share * who.sum()), 1))
