"""Examples in two parts of time: models are fitted to the earlier one, and the later one says when to stop.

Between the two lies an embargo of the longest feature window and the horizon, in bars of each symbol: no label of the
first part looks as far as any feature of the same symbol in the second looks back. Of two symbols it holds only as far
as their bars go together: where one has fewer bars in a day than another, its labels may look past the other's embargo.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from experiments.founders.labels import CLASSES, Labels
from markets.preparation import Market

__all__ = ["Examples", "examples_of", "part"]


@dataclasses.dataclass(frozen=True, eq=False)
class Examples:
    """What a model is shown.

    Attributes:
        features: as agents see them, float32 [examples, features].
        label: what would have been right, int64 [examples].
    """

    features: NDArray[np.float32]
    label: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.label)

    @property
    def classes(self) -> tuple[int, ...]:
        """Labels that occur, ascending."""
        return tuple(np.unique(self.label).tolist())

    def weights(self) -> NDArray[np.float64]:
        """Weights under which every class that occurs weighs the same; their mean is 1 [examples]."""
        counts = np.bincount(self.label, minlength=len(CLASSES))
        each = len(self) / (max(np.count_nonzero(counts), 1) * np.maximum(counts, 1))
        return np.asarray(each[self.label])


def part(labels: Labels, market: Market, *, stopping: float) -> tuple[Labels, Labels]:
    """Labels before and after one date, over all segments.

    The date is the first that leaves the later part no more than its share of all that the embargo leaves.

    Args:
        labels: of one market.
        market: they are of.
        stopping: share of the later part.

    Returns:
        The earlier and the later part; either may be empty where there is no room.
    """
    if not len(labels):
        return labels, labels
    gap = market.window + labels.horizon
    segments, begins = np.unique(labels.segment, return_index=True)
    own = np.split(labels.row, begins[1:])

    def cut(date: np.datetime64) -> tuple[list[int], list[int]]:
        """How many examples of each segment lie before the date, and how many before the end of the embargo."""
        before, behind = [], []
        for index, rows in zip(segments, own, strict=True):
            train = market.segments[index].rows.train
            first = train.start + int(np.searchsorted(market.time[train.start : train.stop], date))
            before.append(int(np.searchsorted(rows, first)))
            behind.append(int(np.searchsorted(rows, first + gap)))
        return before, behind

    def enough(date: np.datetime64) -> bool:
        before, behind = cut(date)
        later = len(labels) - sum(behind)
        return later <= stopping * (sum(before) + later)

    dates = np.unique(market.time[labels.row])
    low, high = 0, len(dates) - 1  # at the last date nothing is left for the later part, which is little enough
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(dates[middle]) else (middle + 1, high)
    earlier, later = np.zeros(len(labels), bool), np.zeros(len(labels), bool)
    for begin, rows, before, behind in zip(begins, own, *cut(dates[low]), strict=True):
        earlier[begin : begin + before] = True
        later[begin + behind : begin + len(rows)] = True
    return labels[earlier], labels[later]


def examples_of(labels: Labels, market: Market, *, most: int, random: np.random.Generator) -> Examples:
    """The features at these decisions beside what would have been right, at most so many, drawn at random."""
    if len(labels) > most:
        labels = labels[np.sort(random.choice(len(labels), most, replace=False))]
    features = np.asarray(market.tape.features)[labels.row, labels.instrument]
    return Examples(np.ascontiguousarray(features, np.float32), labels.label)
