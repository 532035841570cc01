"""The lineage tree as packed columns: everybody while they fit, else those who matter most to what lives and won.

Rows are in order of birth, ancestors first; what each column holds and in which unit stands in docs/report.md.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from arena.schemas import REGIME_NAMES
from experiments.lineage.tree import Tree, alive, descendants, kept, take
from experiments.report.facts.agents import NOBODY, Agents
from experiments.report.facts.archive import Archive
from experiments.report.facts.scores import Scores
from experiments.report.facts.sources import Sources
from experiments.report.packing import Packed, narrow, pack, quantise

__all__ = ["chosen", "lineage_tree"]

_FINEST = 0.001  # bp a bar; what a step of fitness need not be below
_SCARS = 255  # as many or more
_CODES = 254  # of what lies between 0 and 1
_SLACK = 0.97  # what is left of a tree takes more room a row than the whole


def lineage_tree(
    sources: Sources, agents: Agents | None, scores: Scores | None, archive: Archive, *, budget: int
) -> tuple[dict[str, Any] | None, dict[str, Packed]]:
    """The tree's facts, and its packed columns by name (`tree` and `scars`).

    Args:
        sources: of the run.
        agents: everybody; None where births are lost.
        scores: of them.
        archive: of the run.
        budget: bytes of the packed tree.
    """
    if agents is None:
        return None, {}
    scars = _scars(sources, agents)
    counts = np.bincount(scars["row"].to_numpy(), minlength=len(agents))
    columns, about = _columns(agents, scores, archive, counts)
    below = {"below": descendants(agents.tree).astype(np.uint32)}  # of the whole tree, which a part does not tell
    mask = np.ones(len(agents), np.bool_)
    packed = pack(_rows(agents.tree, columns, mask))
    while len(packed.base64) > budget:
        shown = int(mask.sum())
        mask = chosen(agents, archive, int(shown * min(budget / len(packed.base64), 1.0) * _SLACK))
        if mask.sum() == shown:  # the lines of champions alone are too many
            break
        packed = pack(_rows(agents.tree, columns | below, mask))
    rows = int(mask.sum())
    facts = {
        "rows": rows,
        "born_total": len(agents),
        "pruned": None if rows == len(agents) else _pruned(len(agents) - rows),
        "last": int(max(agents.tree.born.max(), agents.tree.died.max())),
        "unit": "bp/bar",
        "columns": "tree",
        "scars": "scars",
        "champions": _champions(archive),
        **about,
    }
    return facts, {"tree": packed, "scars": pack(_scar_columns(scars, mask))}


def chosen(agents: Agents, archive: Archive, count: int) -> NDArray[np.bool_]:
    """[rows] whom to show where not everybody fits: a mask of about `count` rows, with all their ancestors.

    First the lines of all who ever were champions, then those of the living, then whoever has most descendants, the
    older first.
    """
    tree = agents.tree
    mask = kept(tree, archive.won > 0)
    living = np.flatnonzero(alive(tree))
    low, high = 0, len(living)  # as many of the living, the youngest first, as there is room for
    while low < high:
        middle = (low + high + 1) // 2
        if _with(tree, mask, living[-middle:]).sum() <= count:
            low = middle
        else:
            high = middle - 1
    if low:
        mask = _with(tree, mask, living[-low:])
    rest = np.flatnonzero(~mask)
    room = max(count - int(mask.sum()), 0)
    # Whoever has as many descendants as somebody has more than they, so ancestors are taken before their descendants.
    mask[rest[np.argsort(-descendants(tree)[rest], kind="stable")[:room]]] = True
    return mask


def _with(tree: Tree, mask: NDArray[np.bool_], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    wanted = mask.copy()
    wanted[rows] = True
    return kept(tree, wanted)


def _columns(
    agents: Agents, scores: Scores | None, archive: Archive, scars: NDArray[Any]
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Columns that a row keeps whoever else is shown, and the scales of those that are quantised."""
    tree, rows = agents.tree, np.arange(len(agents))
    unknown = np.full(len(agents), np.nan)
    fitness = quantise(scores.per_bar(rows)[:, -1] if scores else unknown, finest=_FINEST)
    trust = scores.trust if scores else unknown
    strongest = float(np.nanmax(agents.strength)) if np.isfinite(agents.strength).any() else 0.0
    step = strongest / _CODES or 1.0
    columns = {
        "born": narrow(tree.born),
        "life": _life(tree),
        "species": agents.species,
        "operator": agents.operator,
        "island": agents.island.astype(np.uint16),
        "cause": agents.cause,
        "fitness": fitness.codes,
        "trust": _coded(np.clip(trust, 0, 1), 1 / _CODES),
        "scars": np.minimum(scars, _SCARS).astype(np.uint8),
        "won": archive.won,
        "holds": archive.holds,
        "strength": _coded(agents.strength, step),
    }
    return columns, {"fitness": fitness.scale, "strength": {"low": 0.0, "step": step}}


def _coded(values: NDArray[Any], step: float) -> NDArray[np.uint8]:
    """Numbers of 0 and above in codes of a byte, 255 for NaN."""
    known = np.isfinite(values)
    return np.where(known, np.rint(np.where(known, values, 0) / step), NOBODY).astype(np.uint8)


def _life(tree: Tree) -> NDArray[Any]:
    """Generations from birth to death; the top code of its type for the living."""
    life = np.where(tree.died < 0, 0, tree.died - tree.born)
    kind = np.uint16 if not len(life) or life.max() < np.iinfo(np.uint16).max else np.uint32
    return np.where(tree.died < 0, np.iinfo(kind).max, life).astype(kind)


def _rows(tree: Tree, columns: Mapping[str, NDArray[Any]], mask: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
    """The columns of some rows, with the distance back to each parent among them."""
    small = take(tree, mask)
    rows = small.rows
    return {
        "id": small.id.astype(np.uint32),
        "parent": (rows - small.parent).astype(np.uint32),
        "second": np.where(small.second >= 0, rows - small.second, 0).astype(np.uint32),
        **{name: values[mask] for name, values in columns.items()},
    }


def _scars(sources: Sources, agents: Agents) -> pl.DataFrame:
    """The scars of known agents with their rows, in order of rows, of one the earliest first."""
    table = sources.frame("scars", ["id", "generation", "regime", "cause", "severity"])
    regime = pl.col("regime").replace_strict(
        list(REGIME_NAMES), range(len(REGIME_NAMES)), default=NOBODY, return_dtype=pl.UInt8
    )
    cause = pl.col("cause").replace_strict(
        list(agents.causes), range(len(agents.causes)), default=NOBODY, return_dtype=pl.UInt8
    )
    row = pl.Series(agents.rows_of(table["id"].to_numpy()), dtype=pl.Int64)
    return table.with_columns(regime, cause, row=row).filter(pl.col("row") >= 0).sort("row", "generation")


def _scar_columns(scars: pl.DataFrame, mask: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
    place = np.cumsum(mask) - 1
    shown = scars.filter(pl.Series(mask[scars["row"].to_numpy()]))
    severity = shown["severity"].fill_null(float("nan")).to_numpy()
    return {
        "row": place[shown["row"].to_numpy()].astype(np.uint32),
        "generation": shown["generation"].to_numpy().astype(np.uint32),
        "regime": shown["regime"].to_numpy(),
        "cause": shown["cause"].to_numpy(),
        "severity": _coded(np.clip(severity, 0, 1), 1 / _CODES),
    }


def _champions(archive: Archive) -> list[dict[str, Any]]:
    """Champions of now, in order of replicates and regimes."""
    return archive.current.select("id", "regime", "replicate").to_dicts()


def _pruned(count: int) -> str:
    return (
        f"{count:,} agents are left out to keep this file small: those whose lines died out soonest. Shown are the "
        "lines of all champions and of the living, and then whoever has most descendants."
    )
