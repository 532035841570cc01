"""How fast a population forgets its ancestors: the common ancestor of the living through time, and selective sweeps.

In a generation live all who were born by then and had not died before it: an agent that dies in generation g was judged
in g. The most recent common ancestor of the living moves down the tree as lines die out, and never up; how many
generations it lies behind is the coalescence lag. By chance alone it is about twice the time in which two lines meet
(`experiments.lineage.neutral`); where the offspring of one agent take over, it is short.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from experiments.lineage.neutral import coalescence_probability
from experiments.lineage.tree import Tree, kept, root

__all__ = ["coalescence", "neutral_lag", "sweeps"]

_NOBODY = -1


def coalescence(tree: Tree) -> pl.DataFrame:
    """The most recent common ancestor of the living in every generation, in time linear in agents and generations.

    Returns:
        One row a generation, from 0 to the last with a birth or death: `generation, living, ancestor_id, born, lag`:
        how many live, their most recent common ancestor, its generation of birth, and how many generations ago that is.
        The last three are null where the living descend from several founders, or nobody lives. It may be one of the
        living. A line is taken to go on between a death and a later birth.
    """
    living, common = _living(tree), _common(tree)
    found = common != _NOBODY
    known = common[found]
    generation = np.arange(len(living))
    born, ids = np.full(len(living), -1), np.zeros(len(living), np.uint64)
    born[found], ids[found] = tree.born[known], tree.id[known]
    return pl.DataFrame({"generation": generation, "living": living, "ancestor_id": ids, "born": born}).select(
        "generation",
        "living",
        *(pl.when(pl.Series(found)).then(name).alias(name) for name in ("ancestor_id", "born")),
        lag=pl.when(pl.Series(found)).then(pl.col("generation") - pl.col("born")),
    )


def sweeps(tree: Tree, *, threshold: float = 0.5, within: float | None = 0.2) -> pl.DataFrame:
    """When the line of one agent took over the population, faster than chance would have it.

    Whenever lines die out, the common ancestor may jump to a younger agent: from then on all who live descend from it,
    or are it. Between its birth and that jump its line rose from one agent to the whole population, and on the way its
    share of the living crossed the threshold. Without selection that happens too, and takes as long as the population
    needs to forget: `neutral_lag` on average. What took much less is a sweep.

    Args:
        tree: of agents that compete: one replicate, and one species where they do not meet.
        threshold: share of the living to cross, above 0 and at most 1.
        within: jumps that took at most this part of `neutral_lag`; None: all jumps. By chance one or two in a
            hundred take at most a fifth, and about every tenth at most 0.3.

    Returns:
        One row a sweep, in order of time: `generation` (from which on it is the common ancestor), `id`, `born`,
        `crossed` (the first generation in which its line had the threshold's share), `duration` (generations from its
        birth to the jump), `neutral` (what chance alone would have taken on average), `previous_id` (the common
        ancestor before; null where there was none), `jump` (generations between the births of both) and `living` (at
        the jump).

    Raises:
        ValueError: the threshold is out of its range.
    """
    if not 0.0 < threshold <= 1.0:
        raise ValueError(f"threshold {threshold} is no share above 0 and at most 1")
    living, common, usual = _living(tree), _common(tree), neutral_lag(tree)
    at = np.flatnonzero((common != _NOBODY) & (common != np.r_[_NOBODY, common[:-1]]))
    if within is not None:
        at = at[at - tree.born[common[at]] <= within * usual]
    rows, before = common[at], np.r_[_NOBODY, common][at]
    known = before != _NOBODY
    earlier = tree.born[before] if len(at) else before
    table = pl.DataFrame(
        {
            "generation": at,
            "id": tree.id[rows],
            "born": tree.born[rows],
            "crossed": _crossings(tree, rows, threshold, living),
            "duration": at - tree.born[rows],
            "neutral": np.full(len(at), usual),
            "previous_id": tree.id[before] if len(at) else tree.id[:0],
            "jump": tree.born[rows] - earlier,
            "living": living[at],
        }
    )
    return table.with_columns(
        *(pl.when(pl.Series(known)).then(name).alias(name) for name in ("previous_id", "jump")),
        neutral=pl.col("neutral").fill_nan(None),
    )


def neutral_lag(tree: Tree) -> float:
    """Generations back to the common ancestor of all who live, on average, were there no selection.

    2 (1 - 1/n) / p (Kingman 1982), with n agents alive and p of `coalescence_probability`, both from the average
    numbers of the living and of births in this tree.

    Returns:
        NaN where fewer than two live on average, or nobody was born after the founders.
    """
    living = _living(tree)
    births = len(tree) - int(np.count_nonzero(tree.born == 0))
    size = round(float(living.mean())) if len(living) else 0
    if size < 2 or not births or len(living) < 2:
        return float("nan")
    replaced = min(births / (len(living) - 1) / size, 1.0)
    return 2.0 * (1.0 - 1.0 / size) / coalescence_probability(size, replaced)


def _last(tree: Tree) -> int:
    """The last generation with a birth or death; -1 without agents."""
    return int(max(tree.born.max(initial=-1), tree.died.max(initial=-1)))


def _living(tree: Tree) -> NDArray[np.int64]:
    """[generations] how many live."""
    last = _last(tree)
    change = np.bincount(tree.born, minlength=last + 2)
    change[1:] -= np.bincount(tree.died[tree.died >= 0], minlength=last + 1)
    return np.cumsum(change)[: last + 1]


def _common(tree: Tree) -> NDArray[np.int64]:
    """[generations] the row of the most recent common ancestor of the living, or `_NOBODY`.

    While a founder's line is the only one, the common ancestor lies on the path from that founder to whoever of its
    line lives longest: it is the first on the path who either lives still, or of whom a line that leaves the path does.
    """
    last = _last(tree)
    common = np.full(last + 1, _NOBODY)
    end = np.where(tree.died < 0, last, tree.died)
    line_end = tree.latest(end)  # [rows] the last generation in which anyone of each row's line lives
    founders = np.flatnonzero(tree.is_root)
    count, owner = np.zeros((2, last + 2), np.int64)
    for change, sign in ((tree.born[founders], 1), (line_end[founders] + 1, -1)):
        np.add.at(count, change, sign)
        np.add.at(owner, change, sign * founders)
    alone = np.flatnonzero(np.cumsum(count)[: last + 1] == 1)  # generations with one founder's line
    if not len(alone):
        return common
    owner = np.cumsum(owner)[alone]
    of = root(tree)
    longest = np.flatnonzero(end == line_end[of])
    ends = np.zeros(len(tree), np.bool_)
    ends[longest[np.unique(of[longest], return_index=True)[1]]] = True  # one of each founder's line
    path = kept(tree, ends)
    needed = end.copy()  # [rows] of the path: until when each is needed as the common ancestor
    leaving = np.flatnonzero(path[tree.parent] & ~path)
    np.maximum.at(needed, tree.parent[leaving], line_end[leaving])
    rows = np.flatnonzero(path)
    rows = rows[np.argsort(of[rows], kind="stable")]  # by founder, then from the founder down
    first = np.searchsorted(of[rows], owner)
    # Generations come in stretches of one owner; within one, the last time needed of all so far only grows.
    for start, stop in _stretches(owner):
        begin = first[start]
        line = rows[begin : np.searchsorted(of[rows], owner[start], side="right")]
        when = alone[start:stop]
        common[when] = line[np.searchsorted(np.maximum.accumulate(needed[line]), when)]
    common[(common != _NOBODY) & (tree.born[common] > np.arange(last + 1))] = (
        _NOBODY  # between a death and a later birth
    )
    return common


def _stretches(values: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Where runs of equal values begin and end."""
    edges = np.flatnonzero(np.diff(values)) + 1
    return list(zip([0, *edges.tolist()], [*edges.tolist(), len(values)], strict=True))


def _crossings(tree: Tree, rows: NDArray[np.int64], threshold: float, living: NDArray[np.int64]) -> NDArray[np.int64]:
    """[rows] the first generation in which the line of each has that share of the living.

    The rows of one founder lie on one path, so their lines are nested, and the younger crosses later: of each founder
    one row at a time is waited for.
    """
    if not len(rows):
        return rows
    known, asked = np.unique(rows, return_inverse=True)
    of = root(tree)
    order = np.argsort(of[known], kind="stable")  # by founder, then from the founder down
    founders, begin = np.unique(of[known[order]], return_index=True)
    stop = np.r_[begin[1:], len(known)].astype(np.int64)
    slot = np.repeat(np.arange(len(founders)), stop - begin)
    mark = np.zeros(len(tree), np.int64)
    mark[known] = 1
    offset = np.full(len(tree), -1)
    offset[founders] = begin - 1
    under = tree.down(mark)
    index = np.where(under > 0, under + offset[of], -1)  # [rows] the youngest of the asked at or above each row
    born = np.flatnonzero(index >= 0)
    died = born[tree.died[born] >= 0]
    died = died[np.argsort(tree.died[died], kind="stable")]
    generations = np.arange(len(living) + 1)
    births = np.searchsorted(tree.born[born], generations)
    deaths = np.searchsorted(tree.died[died], generations - 1)
    crossed = np.full(len(known), -1)
    waiting, size = begin.copy(), np.zeros(len(founders), np.int64)
    counts = np.zeros(len(known), np.int64)
    pending: set[int] = set()
    for now in generations[tree.born[known[0]] : -1].tolist():
        new = index[born[births[now] : births[now + 1]]]
        gone = index[died[deaths[now] : deaths[now + 1]]]
        for changed, sign in ((new, 1), (gone, -1)):
            np.add.at(counts, changed, sign)
            inside = changed[changed >= waiting[slot[changed]]]
            np.add.at(size, slot[inside], sign)
        pending.update(np.unique(slot[new]).tolist())
        for one in list(pending):
            while waiting[one] < stop[one] and size[one] >= max(threshold * living[now], 1):
                crossed[waiting[one]] = now
                size[one] -= counts[waiting[one]]
                waiting[one] += 1
            if waiting[one] == stop[one] or not size[one]:
                pending.discard(one)
        if (waiting == stop).all():
            break
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return crossed[place[asked]]
