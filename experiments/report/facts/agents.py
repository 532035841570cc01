"""Everybody who ever lived, as arrays: the tree of descent, and beside it what births and deaths say of each agent."""

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from experiments.lineage.table import lineage
from experiments.lineage.tree import Tree, tree_of
from experiments.report.facts.sources import Sources
from markets.errors import UserError

__all__ = ["CAUSES", "NOBODY", "OPERATORS", "Agents", "read_agents", "words_of"]

OPERATORS = ("founder", "mutation", "crossover")
"""How agents come to be; a run of another version may have more."""

CAUSES = ("culled", "ruined", "aged", "drawdown", "liquidation", "ruin")
"""Of deaths, then of scars; likewise."""

NOBODY = 255
"""Code of a word that is not there, such as the cause of death of the living."""


@dataclasses.dataclass(frozen=True, eq=False)
class Agents:
    """All agents in order of birth, ancestors first: the rows of `tree`.

    Attributes:
        tree: who descends from whom.
        species: [rows] index in `names`.
        operator: [rows] index in `operators`.
        cause: [rows] of death, index in `causes`; 255 for the living.
        island: [rows] of birth.
        strength: [rows] of mutation; NaN for founders.
        names, operators, causes: the words.
    """

    tree: Tree
    species: NDArray[np.uint8]
    operator: NDArray[np.uint8]
    cause: NDArray[np.uint8]
    island: NDArray[np.uint32]
    strength: NDArray[np.float32]
    names: tuple[str, ...]
    operators: tuple[str, ...]
    causes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.tree)

    def rows_of(self, ids: NDArray[Any]) -> NDArray[np.int64]:
        """[ids] the row of each id; -1 where nobody has it."""
        order, known = self._by_id
        if not len(known):
            return np.full(len(ids), -1)
        place = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        return np.where(known[place] == ids, order[place], -1)

    @functools.cached_property
    def _by_id(self) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        order = np.argsort(self.tree.id, kind="stable")
        return order, self.tree.id[order]


def read_agents(sources: Sources) -> Agents | None:
    """Everybody whose birth can be read; None, and a sentence why, where births make no tree.

    A parent whose own birth is lost makes a founder of its child.
    """
    births, deaths = sources.frame("births"), sources.frame("deaths")
    known = births["id"].implode()
    for name in ("parent_id", "second_parent_id"):
        there = births[name].is_in(known)
        if name == "parent_id" and births[name].is_not_null().ne(there.fill_null(False)).any():
            for part in ("tree", "clades"):
                sources.missing.add(part, "parents", "Agents whose parents' births are lost are shown as founders.")
        births = births.with_columns(pl.when(there).then(pl.col(name)).alias(name))
    if not births.height:
        return None
    try:
        table = lineage(births, deaths)
        tree = tree_of(table)
    except UserError as error:
        for part in ("tree", "clades", "heat"):
            sources.missing.add(part, "births.parquet", f"Births and deaths do not fit together: {error}.")
        return None
    table = table.sort("origin_time", "id")
    names = words_of(_configured(sources), table["species"])
    operators, causes = words_of(OPERATORS, table["operator"]), words_of(CAUSES, table["cause"])
    return Agents(
        tree=tree,
        species=_codes(table["species"], names),
        operator=_codes(table["operator"], operators),
        cause=_codes(table["cause"], causes),
        island=table["island"].to_numpy(),
        strength=table["mutation_strength"].fill_null(float("nan")).to_numpy(),
        names=names,
        operators=operators,
        causes=causes,
    )


def words_of(first: Iterable[str], column: pl.Series) -> tuple[str, ...]:
    """Known words, and after them those that a column has beside, sorted; 255 at most."""
    known = list(first)
    others = sorted(set(column.drop_nulls().unique().to_list()) - set(known))
    return tuple([*known, *others][:NOBODY])


def _codes(column: pl.Series, words: Sequence[str]) -> NDArray[np.uint8]:
    """The index of each word; 255 for none, and for one too many."""
    codes = column.replace_strict(list(words), range(len(words)), default=None, return_dtype=pl.UInt8)
    return codes.fill_null(NOBODY).to_numpy()


def _configured(sources: Sources) -> list[str]:
    """Species in the order of the configuration, those alone that the run has."""
    born = set(sources.frame("generations", ["species"])["species"].unique().to_list())
    known = sources.config.get("species")
    order = [name for name in known if name in born] if isinstance(known, dict) else []
    return [*order, *sorted(born - set(order))]
