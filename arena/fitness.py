"""Fitness: what a generation's tallies say of each agent, by case and regime, never one number before selection.

A case is one group (a regime, or all) in one half of the episodes. Scores are block means: the log return of all the
group's bars in that half over the number of those bars. A case with too few bars has no score. An agent's standing is
the running mean of its cases over its last generations, shrunk toward the island's mean the younger it is.
"""

import dataclasses
from typing import Literal, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, UInt8

from agents.population import Standing
from arena.tally import GROUPS, REGIMES, Tally

__all__ = [
    "CASES",
    "CAUSES",
    "FitnessSettings",
    "Stats",
    "by_group",
    "case_scores",
    "excess_return",
    "harm",
    "judge",
    "overall",
    "shrunk",
    "summarise",
]

HALVES = 2
CASES = HALVES * GROUPS
"""Cases, half after half, each by group; the last group of each half is all."""

CAUSES = ("none", "drawdown", "liquidation", "ruin")
"""What an episode did to an agent; `harm` indexes it."""

_LEAST_HARM = 0.1  # severity of a ruin or liquidation whose drawdown was within bounds


@dataclasses.dataclass(frozen=True)
class FitnessSettings:
    """How agents are scored.

    Attributes:
        measure: `log_return` per bar, or `sharpe` per bar.
        bars: bars a case needs to have a score.
        horizon: generations the standing is a running mean of.
        shrinkage: λ of n / (n + λ), n the generations behind a standing.
    """

    measure: Literal["log_return", "sharpe"] = "log_return"
    bars: int = dataclasses.field(default=64, metadata={"ge": 2})
    horizon: int = dataclasses.field(default=5, metadata={"ge": 1})
    shrinkage: float = dataclasses.field(default=2.0, metadata={"ge": 0.0})


class Stats(NamedTuple):
    """What is recorded of an agent over a set of windows, by group."""

    episodes: Float[Array, "agents groups"]
    bars: Float[Array, "agents groups"]
    log_return: Float[Array, "agents groups"]
    square: Float[Array, "agents groups"]
    downside: Float[Array, "agents groups"]
    drawdown: Float[Array, "agents groups"]
    """Worst of the episodes' own, as a fraction of the peak."""
    trades: Float[Array, "agents groups"]
    wins: Float[Array, "agents groups"]
    gross_profit: Float[Array, "agents groups"]
    gross_loss: Float[Array, "agents groups"]


def summarise(tally: Tally) -> Stats:
    """Sums over the episodes."""

    def total(x: Array) -> Array:
        return x.sum(-1).T

    return Stats(
        episodes=total((tally.bars > 0).astype(jnp.float32)),
        bars=total(tally.bars),
        log_return=total(tally.log_return),
        square=total(tally.square),
        downside=total(tally.downside),
        drawdown=-jnp.expm1(-tally.drawdown.max(-1)).T,
        trades=total(tally.trades),
        wins=total(tally.wins),
        gross_profit=total(tally.gross_profit),
        gross_loss=total(tally.gross_loss),
    )


def case_scores(
    tally: Tally, bars: Float[Array, "groups episodes"], settings: FitnessSettings
) -> tuple[Float[Array, "agents cases"], Bool[Array, "cases"]]:
    """Scores by case, and which cases have enough bars to count.

    Args:
        tally: of one block.
        bars: bars of each group in each window, whether an agent lived through them or not.
        settings: see `FitnessSettings`.
    """

    def halves(x: Array) -> Array:
        return x.reshape(*x.shape[:-1], HALVES, -1).sum(-1)

    count = halves(bars)
    safe = jnp.maximum(count, 2.0)[:, None, :]
    mean = halves(tally.log_return) / safe
    if settings.measure == "sharpe":
        variance = jnp.maximum(halves(tally.square) - safe * mean**2, 0.0) / (safe - 1.0)
        mean = jnp.where(variance > 0, mean / jnp.sqrt(jnp.where(variance > 0, variance, 1.0)), 0.0)
    return jnp.transpose(mean, (1, 2, 0)).reshape(mean.shape[1], CASES), (count >= settings.bars).T.reshape(CASES)


def excess_return(
    tally: Tally,
    gain: Float[Array, "groups episodes instruments"],
    bars: Float[Array, "groups episodes"],
    least: int,
) -> Float[Array, "agents episodes regimes"]:
    """Log return of each block above holding the block's mean net exposure; NaN where the block does not count.

    Args:
        tally: of one block of agents.
        gain: Σ simple mid return of each group's bars in each window.
        bars: bars of each group in each window.
        least: bars a block needs.
    """
    exposure = tally.exposure / jnp.maximum(bars, 1.0)[:, None, :, None]
    excess = tally.log_return - (exposure * gain[:, None]).sum(-1)
    counts = (bars[:, None, :] >= least) & (tally.square > 0)
    return jnp.transpose(jnp.where(counts, excess, jnp.nan)[:REGIMES], (1, 2, 0))


def harm(tally: Tally, drawdown: float) -> tuple[Float[Array, "agents episodes"], UInt8[Array, "agents episodes"]]:
    """Severity in [0, 1] and cause of what each episode did; severity 0 is no harm.

    Args:
        tally: of one block.
        drawdown: fraction of the peak beyond which a drawdown harms; severity is how far beyond.
    """
    depth = -jnp.expm1(-tally.drawdown[-1])
    severity = jnp.clip((depth - drawdown) / (1.0 - drawdown), 0.0, 1.0)
    cause = jnp.where(severity > 0, 1, 0)
    cause = jnp.where(tally.liquidated > 0, 2, cause)
    cause = jnp.where(tally.ruined > 0, 3, cause)
    return jnp.where(cause >= 2, jnp.maximum(severity, _LEAST_HARM), severity), cause.astype(jnp.uint8)


def judge(
    standing: Standing,
    scores: Float[Array, "agents cases"],
    valid: Bool[Array, "cases"],
    trades: Float[Array, "agents"],
    settings: FitnessSettings,
) -> Standing:
    """The standing after one more generation."""
    generations = jnp.where(valid, jnp.minimum(standing.generations + 1.0, settings.horizon), standing.generations)
    step = jnp.where(valid, (scores - standing.mean) / jnp.maximum(generations, 1.0), 0.0)
    return Standing(standing.mean + step, generations, trades)


def shrunk(standing: Standing, settings: FitnessSettings) -> Float[Array, "agents cases"]:
    """Standing drawn toward the island's mean by n / (n + λ); an agent without a score stands at the mean."""
    known = (standing.generations > 0).astype(jnp.float32)
    centre = (standing.mean * known).sum(0) / jnp.maximum(known.sum(0), 1.0)
    n = standing.generations
    weight = jnp.where(n > 0, n / jnp.maximum(n + settings.shrinkage, 1.0), 0.0)
    return centre + weight * (standing.mean - centre)


def by_group(scores: Float[Array, "agents cases"]) -> Float[Array, "agents groups"]:
    """Mean of the halves."""
    return scores.reshape(-1, HALVES, GROUPS).mean(1)


def overall(scores: Float[Array, "agents cases"]) -> Float[Array, "agents"]:
    """The score over all regimes."""
    return by_group(scores)[:, -1]
