"""Lineage beyond a run: the lines of champions of earlier runs that founded it, and its lineage continued into them.

An agent is known by its run and its id there. In a lineage that goes on into earlier runs, agents of those have ids of
their own from `FIRST` on, which no agent of a run can have (those are 32 bits wide), and labels `run/id`. Time is one
clock: a run's generation 0 comes right behind the birth of the youngest champion that founded it, so the run's own
times are later by a constant. Each ancestor is taken to have ended when its last child here was born, for what became
of it is not known.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from arena.schemas import LINEAGE, ORIGINS
from experiments.lineage.tree import depth, tree_of
from markets.errors import UserError
from markets.settings import build, setting

__all__ = ["FIRST", "Ancestor", "above", "ancestors_in", "continued", "named", "origin_of", "origins_table"]

FIRST = 2**32
"""The first id of an earlier run's agent."""

_LARGEST = 2**63 - 1
"""An id may be as large as a signed 64-bit number, which every reader of tables holds."""


@dataclasses.dataclass(frozen=True)
class Ancestor:
    """One agent of a champion's line, as a bundle's manifest has it; see `arena.schemas.ORIGINS`."""

    id: int = setting(ge=0, le=_LARGEST)
    parent_id: int | None = setting(ge=0, le=_LARGEST)
    second_parent_id: int | None = setting(ge=0, le=_LARGEST)
    generation: int = setting(ge=0)
    species: str = setting()
    island: int | None = setting(ge=0)
    operator: str = setting()
    mutation_strength: float | None = setting()
    run_id: str = setting()


def ancestors_in(manifest: Mapping[str, Any]) -> list[Ancestor]:
    """The line of a bundle's champion, its first ancestor first.

    Raises:
        UserError: it is no line that ends in the champion.
    """
    listed, champion = manifest.get("ancestry"), manifest["champion"]
    if not isinstance(listed, list) or not listed:
        raise UserError("ancestry: expected the champion's line, its first ancestor first")
    names = [field.name for field in dataclasses.fields(Ancestor)]
    line = []
    for place, entry in enumerate(listed):
        known = {key: entry[key] for key in names if key in entry} if isinstance(entry, Mapping) else entry
        line.append(build(Ancestor, known, f"ancestry[{place}]"))
    for place, (older, younger) in enumerate(itertools.pairwise(line), start=1):
        if older.run_id == younger.run_id and older.generation >= younger.generation:
            raise UserError(f"ancestry[{place}]: generation {younger.generation} is not behind its parent's")
    runs = [run for run, _ in itertools.groupby(ancestor.run_id for ancestor in line)]
    if len(set(runs)) < len(runs):
        raise UserError("ancestry: comes back to a run that it had left")
    if (line[-1].run_id, line[-1].id) != (champion.get("run_id"), champion.get("id")):
        raise UserError(f"ancestry: ends in {line[-1].id} of {line[-1].run_id}, which is not the champion")
    return line


def origins_table(lines: Iterable[tuple[str, Sequence[Ancestor], Sequence[int]]]) -> pl.DataFrame:
    """The table `ORIGINS`.

    Args:
        lines: of each bundle its hash, its champion's line, and the founders that descend from that champion.
    """
    rows = [
        {"bundle": bundle, **dataclasses.asdict(ancestor), "founders": None if ancestor is not line[-1] else founders}
        for bundle, line, founders in lines
        for ancestor in line
    ]
    return pl.DataFrame(rows, schema=ORIGINS)


def origin_of(origins: pl.DataFrame) -> pl.DataFrame:
    """Of each founder the champion that it descends from: `id, origin_run_id, origin_id, bundle`."""
    champions = origins.filter(pl.col("founders").is_not_null())
    told = champions.select("founders", "bundle", origin_run_id="run_id", origin_id="id").explode("founders")
    return told.drop_nulls("founders").select(
        id="founders", origin_run_id="origin_run_id", origin_id="origin_id", bundle="bundle"
    )


def named(table: pl.DataFrame, origins: pl.DataFrame) -> pl.DataFrame:
    """A lineage with two columns more, `origin_run_id` and `origin_id`: of founders, the champion they descend from."""
    told = origin_of(origins).select("id", "origin_run_id", "origin_id")
    return table.join(told, on="id", how="left", maintain_order="left")


def above(origins: pl.DataFrame, founder: int) -> list[dict[str, Any]]:
    """The line above one founder as a manifest has it, its first ancestor first; empty where it was drawn."""
    own = origin_of(origins).filter(pl.col("id") == founder)
    if own.is_empty():
        return []
    line = origins.filter(pl.col("bundle") == own["bundle"][0])
    return line.select([field.name for field in dataclasses.fields(Ancestor)]).to_dicts()


def continued(table: pl.DataFrame, origins: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """A lineage that goes on into the earlier runs, as far as its founders do.

    Args:
        table: of `LINEAGE`, or a part of one that has an ancestor of everybody.
        origins: of its run.

    Returns:
        The `LINEAGE` table with a column `taxon_label`, sorted as `tree_of` has its rows, and the time at which
        generation 0 of the run stands in it.
    """
    founders = table.filter(pl.col("ancestor_id") == pl.col("id"))["id"]
    told = origin_of(origins).filter(pl.col("id").is_in(founders.implode()))
    label = pl.col("id").cast(pl.String)
    if told.is_empty():
        return table.select(*LINEAGE, taxon_label=label), 0
    lines = origins.filter(pl.col("bundle").is_in(told["bundle"].implode()))
    begins, start = _clock(lines)
    earlier = _earlier(lines, begins)
    places = earlier.select(origin_run_id="run_id", origin_id="own_id", origin="id")
    own = table.join(told.drop("bundle"), on="id", how="left", maintain_order="left")
    own = own.join(places, on=["origin_run_id", "origin_id"], how="left", maintain_order="left").select(
        *(name for name in LINEAGE if name not in ("ancestor_id", "origin_time", "destruction_time")),
        ancestor_id=pl.coalesce("origin", "ancestor_id"),
        origin_time=pl.col("origin_time") + start,
        destruction_time=pl.col("destruction_time") + start,
        taxon_label=label,
    )
    columns = [*LINEAGE, "taxon_label"]
    kinds = {**LINEAGE, "taxon_label": pl.String}
    whole = pl.concat([part.select(pl.col(name).cast(kinds[name]) for name in columns) for part in (earlier, own)])
    born = pl.concat(
        [whole.select(id="ancestor_id", time="origin_time"), whole.select(id="second_parent_id", time="origin_time")]
    )
    last = born.drop_nulls("id").group_by("id").agg(last=pl.col("time").max())
    whole = whole.join(last, on="id", how="left", maintain_order="left").with_columns(
        destruction_time=pl.when(pl.col("id") >= FIRST).then("last").otherwise("destruction_time")
    )
    whole = whole.select(columns).sort("origin_time", "id")
    return whole.with_columns(depth=pl.Series(depth(tree_of(whole)), dtype=pl.UInt32)), start


def _clock(lines: pl.DataFrame) -> tuple[dict[str, int], int]:
    """When generation 0 of each earlier run is, and that of this one."""
    begins = dict.fromkeys(lines["run_id"].unique(maintain_order=True).to_list(), 0)
    own = [part.select("run_id", "generation").rows() for part in lines.partition_by("bundle", maintain_order=True)]
    steps = [
        (older, born, younger)
        for line in own
        for (older, born), (younger, _) in itertools.pairwise(line)
        if older != younger
    ]
    for _ in begins:  # each round sets the runs right that are one step further from the first
        for older, born, younger in steps:
            begins[younger] = max(begins[younger], begins[older] + born + 1)
    return begins, max(begins[line[-1][0]] + line[-1][1] + 1 for line in own)


def _earlier(lines: pl.DataFrame, begins: Mapping[str, int]) -> pl.DataFrame:
    """Agents of earlier runs, each once, with ids of their own; who has no parent on a line is a root.

    A champion that founded a run, and its founder there, are one behind the other on a line.
    """
    line = pl.col("bundle")
    before = pl.when(line == line.shift()).then(pl.struct("run_id", "id").shift())
    own = lines.with_columns(before=before).unique(["run_id", "id"], keep="first", maintain_order=True)
    own = own.with_columns(place=pl.int_range(pl.len(), dtype=pl.UInt64) + FIRST)
    ids = own.select("run_id", own_id="id", found="place")

    def looked_up(table: pl.DataFrame, run: pl.Expr, agent: pl.Expr, name: str) -> pl.DataFrame:
        wanted = table.with_columns(_run=run, _agent=agent)
        there = ids.rename({"run_id": "_run", "own_id": "_agent", "found": name})
        return wanted.join(there, on=["_run", "_agent"], how="left", maintain_order="left").drop("_run", "_agent")

    own = looked_up(own, pl.col("before").struct["run_id"], pl.col("before").struct["id"], "first")
    own = looked_up(own, pl.col("run_id"), pl.col("second_parent_id"), "second")
    time = pl.col("generation").cast(pl.Int64) + pl.col("run_id").replace_strict(begins, return_dtype=pl.Int64)
    return own.select(
        id="place",
        ancestor_id=pl.coalesce("first", "place"),
        second_parent_id="second",
        origin_time=time,
        destruction_time=pl.lit(None, pl.UInt32),
        species="species",
        island="island",
        operator="operator",
        depth=pl.lit(0, pl.UInt32),
        cause=pl.lit(None, pl.String),
        mutation_strength="mutation_strength",
        taxon_label=pl.concat_str("run_id", pl.lit("/"), pl.col("id").cast(pl.String)),
        run_id="run_id",
        own_id="id",
    )
