"""Lineages without selection: what descent looks like by chance alone, to measure against and to measure with.

A population of constant size. In every generation a part of it dies and as many are born, each of a parent drawn
uniformly from all who lived in that generation, those who die then included, as in the arena. All replaced is the model
of Wright (1931) and Fisher (1930); one replaced is Moran's (1958) with death and birth in one step. What lies between
has overlapping generations, as a run of the arena has.

Two who live in the same generation descend from the same agent one generation before with probability

    p = k (2N - k - 1) / (N² (N - 1))

with N agents, k of them replaced: both are new and share a parent, or one is new and the other its parent, still alive.
So two lines meet 1 / p generations back on average, which is N for Wright and Fisher and N² / 2 for Moran.
"""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from arena.schemas import LINEAGE
from experiments.lineage.tree import Tree, depth

__all__ = ["coalescence_probability", "neutral", "neutral_table"]


def neutral(population: int, generations: int, *, replaced: float = 1.0, crossover: float = 0.0, seed: int = 0) -> Tree:
    """The tree of a population that evolves by chance alone; its ids are its rows.

    Args:
        population: agents that live at any time, at least 1; the founders are born in generation 0.
        generations: in which children are born, after the founders'.
        replaced: share of the population replaced in a generation, above 0 and at most 1; at least one agent is.
        crossover: share of births that have a second parent, other than the first.
        seed: of the random numbers; the same arguments give the same tree.

    Raises:
        ValueError: an argument is out of its range, or a second parent is wanted of a population of one.
    """
    turned = _turned(population, replaced)
    if generations < 0 or not 0.0 <= crossover <= 1.0 or (crossover and population < 2):
        raise ValueError(f"no lineage of {population} agents over {generations} generations, crossover {crossover}")
    random = np.random.default_rng(seed)
    size = population + generations * turned
    kind = np.int32 if size < 2**31 else np.int64
    parent: NDArray[np.signedinteger[Any]] = np.arange(size, dtype=kind)
    second: NDArray[np.signedinteger[Any]] = np.full(size, -1, dtype=kind)
    died = np.full(size, -1, np.int64)
    living = np.arange(population, dtype=kind)
    for generation in range(1, generations + 1):
        first = population + (generation - 1) * turned
        new = slice(first, first + turned)
        chosen = random.integers(0, population, turned)
        parent[new] = living[chosen]
        if crossover:
            other = (chosen + random.integers(1, population, turned)) % population
            second[new] = np.where(random.random(turned) < crossover, living[other], -1)
        freed = slice(None) if turned == population else random.choice(population, turned, replace=False, shuffle=False)
        died[living[freed]] = generation - 1
        living[freed] = np.arange(first, first + turned, dtype=kind)
    born = np.concatenate([np.zeros(population, np.int64), np.repeat(np.arange(1, generations + 1), turned)])
    return Tree(np.arange(size, dtype=np.uint64), parent, second, born, died)


def neutral_table(
    population: int, generations: int, *, replaced: float = 1.0, crossover: float = 0.0, seed: int = 0
) -> pl.DataFrame:
    """The same as a table of `arena.schemas.LINEAGE`: one island, one species, `neutral`, without mutation strength."""
    tree = neutral(population, generations, replaced=replaced, crossover=crossover, seed=seed)
    columns = {
        "id": pl.Series(tree.id),
        "ancestor_id": pl.Series(tree.parent),
        "second_parent_id": pl.Series(tree.second),
        "origin_time": pl.Series(tree.born),
        "destruction_time": pl.Series(tree.died),
        "depth": pl.Series(depth(tree)),
        "founder": pl.Series(tree.is_root),
    }
    return (
        pl.DataFrame(columns)
        .with_columns(
            pl.when(pl.col(name) >= 0).then(name).alias(name) for name in ("second_parent_id", "destruction_time")
        )
        .with_columns(
            operator=pl.when("founder")
            .then(pl.lit("founder"))
            .when(pl.col("second_parent_id").is_null())
            .then(pl.lit("mutation"))
            .otherwise(pl.lit("crossover")),
            species=pl.lit("neutral"),
            island=0,
            cause=pl.when(pl.col("destruction_time").is_not_null()).then(pl.lit("culled")),
            mutation_strength=None,
        )
        .select(pl.col(name).cast(kind) for name, kind in LINEAGE.items())
    )


def coalescence_probability(population: int, replaced: float = 1.0) -> float:
    """The probability that two who live in the same generation have the same ancestor one generation before.

    Two lines that are still apart meet 1 / it generations back on average, geometrically distributed.

    Raises:
        ValueError: an argument is out of its range, or the population is one alone.
    """
    turned = _turned(population, replaced)
    if population < 2:
        raise ValueError("two lines are wanted, of at least two agents")
    return turned * (2 * population - turned - 1) / (population**2 * (population - 1))


def _turned(population: int, replaced: float) -> int:
    """Agents replaced in a generation."""
    if population < 1 or not 0.0 < replaced <= 1.0:
        raise ValueError(f"no population of {population} agents of which {replaced} are replaced")
    return max(1, round(replaced * population))
