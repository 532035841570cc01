"""Families for tests of lineage: random ones, ones of a given shape, and phylotrackpy's view of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import strategies as st
from phylotrackpy.systematics import Systematics

from arena.schemas import LINEAGE

__all__ = ["families", "family", "loaded", "tracked"]


def family(
    parents: Sequence[int | None],
    born: Sequence[int] | None = None,
    died: Sequence[int | None] | None = None,
    *,
    second: Sequence[int | None] | None = None,
    ids: Sequence[int] | None = None,
) -> pl.DataFrame:
    """A lineage table: agents 0, 1, … or with ids, with parents by place; one born a generation, all alive."""
    count = len(parents)
    names = list(range(count)) if ids is None else list(ids)
    named = [None if place is None else names[place] for place in second or [None] * count]
    columns = {
        "id": names,
        "ancestor_id": [names[k if place is None else place] for k, place in enumerate(parents)],
        "second_parent_id": named,
        "origin_time": range(count) if born is None else born,
        "destruction_time": [None] * count if died is None else died,
        "operator": ["founder" if place is None else "mutation" for place in parents],
        "species": ["qnetwork"] * count,
        "island": [0] * count,
        "depth": [0] * count,  # nothing reads it
        "cause": [None] * count if died is None else [None if end is None else "culled" for end in died],
        "mutation_strength": [None] * count,
    }
    return pl.DataFrame({name: pl.Series(columns[name], dtype=kind) for name, kind in LINEAGE.items()})


@st.composite
def families(draw: st.DrawFn, size: int = 24, founders: int = 3) -> pl.DataFrame:
    """Births and deaths as they come in a run: a child is born in its parent's life, or right after it.

    Some founders come later, as in no run, but in files of another make.
    """
    count = draw(st.integers(1, size))
    roots = draw(st.integers(1, founders))
    whole = st.integers(0, 2**30)
    picks = draw(st.lists(st.tuples(whole, whole, st.integers(-3, 5)), min_size=count, max_size=count))
    parents: list[int | None] = []
    born: list[int] = []
    died: list[int | None] = []
    for k, (pick, delay, life) in enumerate(picks):
        parents.append(None if k < roots else pick % k)
        above = parents[k]
        if above is None:
            born.append(max(0, delay % 6 - 2) if k else 0)  # half of the founders at the start, others later
        else:
            end = died[above]
            born.append(born[above] + 1 + delay % (4 if end is None else end - born[above] + 1))
        died.append(None if life < 0 else born[k] + life)
    order = np.argsort(born, kind="stable")  # ids are given in order of birth
    ids = np.empty(count, np.int64)
    ids[order] = np.arange(count)
    return family(parents, born, died, ids=ids.tolist()).sort("id")


def loaded(table: pl.DataFrame, path: Path, *, leaves: bool = True, mended: bool = True) -> Systematics:
    """Phylotrackpy's reading of everybody who ever lived.

    Args:
        table: of lineage.
        path: of the file that it reads.
        leaves: its `assume_leaves_extant`.
        mended: write founders who died without children as living, because it overlooks that they are leaves.
    """
    lines = ["id,ancestor_list,origin_time,destruction_time,info"]
    parents = set(table.filter(pl.col("ancestor_id") != pl.col("id"))["ancestor_id"])
    for row in table.to_dicts():
        root = row["ancestor_id"] == row["id"]
        above = "none" if root else str(row["ancestor_id"])
        end = None if mended and root and row["id"] not in parents else row["destruction_time"]
        lines.append(f"{row['id']},[{above}],{row['origin_time']},{'inf' if end is None else end},{row['id']}")
    path.write_text("\n".join(lines) + "\n")
    known = Systematics(lambda name: name)
    known.load_from_file(str(path), "info", leaves)
    return known


def tracked(table: pl.DataFrame) -> Systematics:
    """What phylotrackpy knows at the end of a run that it was told of birth by birth and death by death."""
    known = Systematics(lambda name: name)
    taxa = {}
    rows = table.sort("origin_time", "id").to_dicts()
    last = max(max(row["origin_time"], row["destruction_time"] or 0) for row in rows)
    for now in range(last + 2):
        known.set_update(now)
        for row in (row for row in rows if row["origin_time"] == now):
            root = row["ancestor_id"] == row["id"]
            parent = [] if root else [taxa[row["ancestor_id"]]]
            taxa[row["id"]] = known.add_org(str(row["id"]), *parent)
        for row in (row for row in rows if row["destruction_time"] == now - 1):
            known.remove_org(taxa[row["id"]])
    return known
