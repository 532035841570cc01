"""What a run's tables say, worked out plainly and apart from the report: the truth its page is held to."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

__all__ = ["Truth"]


class Truth:
    """Everybody who lived in a run.

    Attributes:
        births: rows of `births`, by id.
        died: generation of death, by id of those who died.
        scars: rows of `scars`, by id.
        holders: ids of champions, by regime.
        won: ids of all who ever were champions.
    """

    def __init__(self, run: Path) -> None:
        self.births = {row["id"]: row for row in self._rows(run, "births")}
        self.died = {row["id"]: row for row in self._rows(run, "deaths")}
        self.scars: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for row in self._rows(run, "scars"):
            self.scars[row["id"]].append(row)
        archive = self._rows(run, "archive")
        self.holders = {row["regime"]: row["id"] for row in archive}
        self.scores = {row["regime"]: row["score"] for row in archive}
        self.won = {row["id"] for row in archive}
        self.fitness = self._rows(run, "fitness")
        self.last = max(row["generation"] for row in self.births.values())

    @staticmethod
    def _rows(run: Path, name: str) -> list[dict[str, Any]]:
        return pl.read_parquet(f"{run}/{name}.parquet/*.parquet").to_dicts()

    def line(self, identity: int) -> list[int]:
        """Ids from the founder to an agent, along first parents."""
        line = [identity]
        while (parent := self.births[line[-1]]["parent_id"]) is not None:
            line.append(parent)
        return line[::-1]

    def with_ancestors(self, ids: Iterable[int]) -> set[int]:
        """These agents and the lines that lead to them."""
        kept: set[int] = set()
        for identity in ids:
            now: int | None = identity
            while now is not None and now not in kept:
                kept.add(now)
                now = self.births[now]["parent_id"]
        return kept

    def matching(self, show: str, species: str | None = None, first: int = 0, last: int | None = None) -> list[int]:
        """Ids that a filter of the tree names: `lines` are champions and the living; all lived in these generations."""
        upto = self.last if last is None else last
        wanted = []
        for identity, row in self.births.items():
            living = identity not in self.died
            shown = {
                "lines": living or identity in self.won,
                "living": living,
                "champions": identity in self.won,
                "all": True,
            }[show]
            end = self.last if living else self.died[identity]["generation"]
            if shown and species in (None, row["species"]) and row["generation"] <= upto and end >= first:
                wanted.append(identity)
        return wanted

    def descendants(self, identity: int) -> int:
        """How many descend from an agent along first parents."""
        below = dict.fromkeys(self.births, 0)
        for child in sorted(self.births, reverse=True):
            parent = self.births[child]["parent_id"]
            if parent is not None:
                below[parent] += below[child] + 1
        return below[identity]
