"""Weights: how much each champion's action values count in an ensemble, from training rows alone.

Values of different brains are of different size, so each brain's are first divided by their own scale: the root mean
square, over training rows and actions, of its values less their mean over the actions. On that,

- `mean` weighs all alike;
- `trust` weighs by each champion's trust in the regime, and all alike where nobody is trusted;
- `stacked` weighs by non-negative least squares in each regime (Lawson and Hanson 1974; for combining predictors,
  Breiman 1996): y_t ≈ Σ_k β_k · (buy − sell value of brain k at t), β ≥ 0, with y_t the log return of the mid from the
  close of t to the next in units of the market's own scale. Where no β is above 0, all count alike.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from arena.tally import REGIMES
from genomes.species import ActionSpace

__all__ = ["Thought", "ensemble_weights", "scales_of", "stacked_weights"]

_LEAST = 64
"""Rows below which nothing is fitted in a regime."""


class Thought:
    """What the champions thought on training rows, each beside its own account.

    Attributes:
        values: action values, NaN where none were worked out, float32 [rows, brains, actions].
        regime: of each row [rows].
        gain: log return to the next close, in units of the market's scale, NaN on a last row [rows].
    """

    def __init__(self, values: NDArray[np.float32], regime: NDArray[np.integer], gain: NDArray[np.floating]) -> None:
        there = (regime < REGIMES) & np.isfinite(values).all(axis=(1, 2))
        self.values = values[there]
        self.regime = regime[there]
        self.gain = gain[there]


def scales_of(thought: Thought) -> NDArray[np.float64]:
    """s_k: root mean square of each brain's values less their mean over actions [brains]; 1 where that is 0."""
    values = thought.values.astype(np.float64)
    spread = values - values.mean(2, keepdims=True)
    scales = np.sqrt(np.square(spread).mean((0, 2))) if len(values) else np.zeros(values.shape[1])
    return np.where(scales > 0, scales, 1.0)


def stacked_weights(thought: Thought, scales: NDArray[np.float64], space: ActionSpace) -> NDArray[np.float64]:
    """β by regime [regimes, brains], summing to 1; nothing but zeros where no brain says anything of the next bar."""
    exposures = space.directions()
    buy, sell = int(exposures.argmax()), int(exposures.argmin())
    lean = (thought.values[..., buy].astype(np.float64) - thought.values[..., sell]) / scales
    weights = np.zeros((REGIMES, lean.shape[1]))
    for regime in range(REGIMES):
        rows = (thought.regime == regime) & np.isfinite(thought.gain)
        if rows.sum() < _LEAST:
            continue
        # Least squares through the triangle of a QR decomposition: the same solution, of as many rows as brains.
        corner, target = _triangle(lean[rows], thought.gain[rows].astype(np.float64))
        found, _ = nnls(corner, target)
        weights[regime] = found / found.sum() if found.sum() > 0 else 0.0
    return weights


def ensemble_weights(
    thought: Thought, trust: NDArray[np.floating], space: ActionSpace
) -> Mapping[str, NDArray[np.float32]]:
    """Weights of the brains' values in each ensemble but `alone`, by name, float32 [regimes, brains].

    Args:
        thought: of training rows.
        trust: in each brain [brains, regimes].
        space: what can be asked for.
    """
    scales = scales_of(thought)
    brains = len(scales)
    alike = np.full((REGIMES, brains), 1.0 / brains)
    made = {"mean": alike, "trust": np.asarray(trust, np.float64).T, "stacked": stacked_weights(thought, scales, space)}
    found = {}
    for name, shares in made.items():
        total = shares.sum(1, keepdims=True)
        whole = np.where(total > 0, shares / np.where(total > 0, total, 1.0), alike)
        found[name] = (whole / scales).astype(np.float32)
    return found


def _triangle(
    matrix: NDArray[np.float64], target: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    orthogonal, corner = np.linalg.qr(matrix)
    return corner, orthogonal.T @ target
