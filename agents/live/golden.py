"""Golden decisions repeated: what the arena saw, thought and asked on some bars, and whether a champion does so here.

A bundle brings the bars and all that the arena made of them, one continuous account (`golden.npz`). Whoever got it sees
with NumPy alone whether it acts on this machine as it did there: `python -m runner.golden` in the bundle's folder.
"""

import io
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from agents.live.account import Account
from agents.live.bar import Bar, bars_in
from agents.live.bundle import Bundle, read_bundle
from agents.live.champion import Champion
from agents.live.decision import Decision
from markets.bars import Bars
from markets.errors import UserError

__all__ = ["TIE", "TOLERANCE", "Repeated", "repeat"]

TIE = 1e-4
"""Best values no further apart than this are a tie: rounding may decide it. So is a gap that is as near to the one that
decision rules ask for."""

TOLERANCE = 1e-5
"""Of values, as a share of the largest of a decision (of the usual one where that is larger: small values may be the
difference of large sums), and of orders: float32 sums in another order differ so much."""

_ROWS = {"features": 2, "regime": 1, "atr": 1, "view": 2, "values": 2, "action": 1, "target": 1, "stop": 1}
_ROWS |= dict.fromkeys(("take_profit", "equity", "units", "entry", "peak", "held"), 1)
"""Arrays with a row a decision, and how many axes they have."""


@dataclass(frozen=True)
class Repeated:
    """How decisions came out, of as many as there are.

    Attributes:
        decisions: how many.
        features: at how many of them a bit of a feature differs, under the look-back that was seen.
        regimes: at how many the regime does.
        atr: at how many a bit of the average true range does.
        leaves: at how many a tree ends in another leaf; None where there are no trees.
        values: largest difference of a value, as a share; see `TOLERANCE`.
        actions: at how many another action is chosen though the best two are no tie.
        ties: at how many the best two are a tie.
        turned: at how many of these another action is chosen.
        orders: at how many something else is asked for, though the action is the same.
    """

    decisions: int
    features: int
    regimes: int
    atr: int
    leaves: int | None
    values: float
    actions: int
    ties: int
    turned: int
    orders: int

    @property
    def told(self) -> list[tuple[str, bool, str]]:
        """What was compared, whether it is as it should be, and the figures."""
        count = f"of {self.decisions}"

        def bits(differ: int) -> str:
            return f"{self.decisions - differ} {count} the same bits"

        same = self.decisions - self.actions - self.turned
        leaves = [] if self.leaves is None else [("leaves", self.leaves == 0, bits(self.leaves).replace(" bits", ""))]
        return [
            ("features", self.features == 0, bits(self.features)),
            ("regimes", self.regimes == 0, bits(self.regimes).replace(" bits", "")),
            ("atr", self.atr == 0, bits(self.atr)),
            *leaves,
            ("values", self.values <= TOLERANCE, f"at most {self.values:.1e} apart; right is {TOLERANCE:.0e}"),
            ("actions", self.actions == 0, f"{same} {count} the same; {self.ties} ties, {self.turned} turned"),
            ("orders", self.orders == 0, f"{self.decisions - self.orders} {count} the same"),
        ]

    @property
    def right(self) -> bool:
        """Whether all of it is as it should be."""
        return all(ok for _, ok, _ in self.told)


def repeat(path: str | Path, *, backend: Literal["numpy", "onnx"] = "numpy") -> Repeated:
    """Let the champion of a bundle decide its golden decisions again, bar by bar, from a cold start.

    Args:
        path: the bundle.
        backend: what works out the values.

    Raises:
        UserError: no bundle, one that was changed, or one without golden decisions.
    """
    bundle = read_bundle(path)
    arrays = _arrays(bundle)
    champion, count = Champion(bundle, backend=backend), len(arrays["action"])
    bars = _bars(arrays)
    champion.warm_up(bars[:-count])
    accounts = zip(*(arrays[name].tolist() for name in ("equity", "units", "entry", "peak", "held")), strict=True)
    decided = [champion.on_bar(bar, Account(*account)) for bar, account in zip(bars[-count:], accounts, strict=True)]
    watcher = Champion(bundle)
    watcher.warm_up(bars[:-count])
    seen = [watcher.observe(bar) for bar in bars[-count:]]
    rows = range(count)
    features, regime, atr = arrays["features"], arrays["regime"], arrays["atr"]
    told = [None if isinstance(own, str) else own for own in seen]
    wrong = [row for row in rows if told[row] is None]
    known = [(row, own) for row, own in enumerate(told) if own is not None]
    gap, (rests, least) = _gap(arrays["values"]), _rules(bundle, regime)
    own = np.asarray([decision.values or [np.nan] * arrays["values"].shape[1] for decision in decided])
    edge = ~rests & (least > 0) & (np.abs(gap - least) <= TIE)
    tie = (~rests & (gap <= TIE)) | edge
    chosen = np.asarray([-1 if decision.action is None else decision.action for decision in decided])
    given = np.asarray([decision.order for decision in decided]) != np.isfinite(arrays["target"])
    other = (chosen != arrays["action"]) | (edge & given)
    return Repeated(
        decisions=count,
        features=len(wrong) + sum(own.features.tobytes() != features[row].tobytes() for row, own in known),
        regimes=len(wrong) + sum(bool(own.regime != regime[row]) for row, own in known),
        atr=len(wrong) + sum(own.atr.tobytes() != atr[row].tobytes() for row, own in known),
        leaves=_leaves(champion, arrays),
        values=max(_brains(champion, arrays), _apart(own[~rests], arrays["values"][~rests])),
        actions=int((other & ~tie).sum()),
        ties=int(tie.sum()),
        turned=int((other & tie).sum()),
        orders=sum(not (other[row] or _same_order(decided[row], arrays, row)) for row in rows),
    )


def _arrays(bundle: Bundle) -> Mapping[str, NDArray[Any]]:
    """The golden decisions, and that they are of one form."""
    where = bundle.path / "golden.npz"
    try:
        with np.load(io.BytesIO(bundle.read("golden.npz")), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        count, bars = len(arrays["action"]), len(arrays["time"])
        right = 0 < count <= bars and arrays["bid"].shape == arrays["ask"].shape == (bars, 4)
        right &= all(arrays[name].ndim == axes and len(arrays[name]) == count for name, axes in _ROWS.items())
        right &= all(arrays[name].shape == (bars,) for name in ("time", "volume"))
    except (KeyError, ValueError, TypeError, OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{where}: not golden decisions: {error}") from None
    if not right:
        raise UserError(f"{where}: not golden decisions: arrays of unequal length")
    return arrays


def _bars(arrays: Mapping[str, NDArray[Any]]) -> list[Bar]:
    columns = {name.removeprefix("column_"): own for name, own in arrays.items() if name.startswith("column_")}
    time = arrays["time"].astype("datetime64[us]")
    return bars_in(Bars("", time, arrays["bid"], arrays["ask"], arrays["volume"], columns))


def _leaves(champion: Champion, arrays: Mapping[str, NDArray[Any]]) -> int | None:
    """At how many decisions a tree of a brain ends in another leaf."""
    told = {int(name.partition("_")[2] or 0): own for name, own in arrays.items() if name.partition("_")[0] == "leaf"}
    if not told:
        return None
    seen = arrays["features"], arrays["view"]
    wrong = [(champion.leaves(*seen, brain) != own).any(axis=1) for brain, own in told.items()]
    return int(np.any(wrong, axis=0).sum())


def _brains(champion: Champion, arrays: Mapping[str, NDArray[Any]]) -> float:
    """Largest difference of what the brains say of what the arena saw."""
    said = arrays.get("said", arrays["values"][:, None])
    seen = arrays["features"], arrays["view"]
    return max(_apart(champion.values(*seen, brain), said[:, brain]) for brain in range(said.shape[1]))


def _gap(values: NDArray[Any]) -> NDArray[Any]:
    """Between the two best of each decision."""
    ranked = np.sort(values, axis=1)
    return np.asarray(ranked[:, -1] - ranked[:, -2])


def _rules(bundle: Bundle, regime: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Whether decision rules are flat at each decision, and the gap that they ask for; False and 0 without rules."""
    rules, names = bundle.manifest.inference, bundle.manifest.regimes.names
    by_name = {} if rules is None else rules.regimes
    rests = [name in by_name and not by_name[name].acts for name in names]
    least = [by_name[name].threshold if name in by_name else 0.0 for name in names]
    return np.asarray(rests)[regime], np.asarray(least, np.float32)[regime]


def _apart(values: NDArray[Any], right: NDArray[Any]) -> float:
    """Largest difference, as a share of the largest value of a row or the usual one; infinite where one is missing."""
    if not len(right):
        return 0.0
    largest = np.abs(right).max(axis=1, keepdims=True)
    scale = np.maximum(largest, max(np.median(largest), np.finfo(np.float32).tiny))
    apart = np.abs(values.astype(np.float64) - right) / scale
    return float(np.where(np.isnan(apart), np.inf, apart).max())


def _same_order(decision: Decision, arrays: Mapping[str, NDArray[Any]], row: int) -> bool:
    target = float(arrays["target"][row])
    if decision.target is None or np.isnan(target):
        return decision.target is None and bool(np.isnan(target))
    pairs = [(getattr(decision, name), float(arrays[name][row])) for name in ("target", "stop", "take_profit")]
    return all(
        np.isclose(np.nan if own is None else own, told, rtol=TOLERANCE, atol=0.0, equal_nan=True)
        for own, told in pairs
    )


def _main(words: Sequence[str]) -> int:
    """Repeat the decisions of the bundle that this runner lies in, or of the one named, and say how they came out."""
    path = Path(words[0]) if words else Path(__file__).resolve().parent.parent
    try:
        found = repeat(path)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    for name, ok, detail in found.told:
        print(f"{name:<10}{'ok' if ok else 'WRONG':<7}{detail}")
    return 0 if found.right else 1


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
