"""A stream of bars gives, bar by bar, the bits that the batched features, regimes and true ranges give for all bars."""

import numpy as np
import pytest
from causality import random_bars, same_bits

from markets.bars import CLOSE, Bars
from markets.features import Feature, FeatureSettings, compute_features, features, relative_atr
from markets.features.stream import FeatureStream
from markets.regimes import RegimeSettings, classify


def batched(chosen: tuple[Feature, ...], bars: Bars, rules: RegimeSettings) -> np.ndarray:
    """Features, regime and true range of every bar, side by side."""
    regime = classify(bars.mid[:, CLOSE], rules).astype(np.float64)
    return np.column_stack([compute_features(chosen, bars), regime, relative_atr(bars)])


def newest(stream: FeatureStream) -> np.ndarray:
    return np.array([*stream.features, stream.regime, stream.relative_atr])


def streamed(stream: FeatureStream, bars: Bars) -> np.ndarray:
    rows = []
    for row in range(len(bars)):
        stream.push(bars[row : row + 1])
        rows.append(newest(stream))
    return np.array(rows)


@pytest.mark.parametrize("ties", [False, True])
def test_every_bar_has_the_bits_of_the_whole_history(ties: bool) -> None:
    bars, chosen, rules = random_bars(1_300, 5, ties=ties), features(), RegimeSettings()
    assert same_bits(streamed(FeatureStream(chosen, rules), bars), batched(chosen, bars, rules))


def test_the_last_window_is_all_that_a_stream_knows() -> None:
    bars, chosen, rules = random_bars(1_300, 6), features(FeatureSettings(macd_slow=60)), RegimeSettings()
    whole = batched(chosen, bars, rules)
    stream = FeatureStream(chosen, rules)
    stream.extend(bars[1_200 - stream.window : 1_200])
    assert same_bits(newest(stream), whole[1_199])
    assert same_bits(streamed(stream, bars[1_200:]), whole[1_200:])
    again = FeatureStream(chosen, rules)
    again.extend(stream.recent())
    assert same_bits(newest(again), whole[-1])
