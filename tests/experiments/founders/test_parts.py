"""The earlier and the later part: one date for all symbols, and the embargo between them."""

import numpy as np
import pytest
from small_worlds import make_settings, market_of, small_bars

from experiments.founders.labels import label_market
from experiments.founders.parts import Examples, examples_of, part
from markets.preparation import Market


def world(horizon: int, count: int = 1_500, symbols: int = 2, late: int = 0) -> tuple[Market, object]:
    """A market, the second symbol of which begins late, and its labels."""
    settings = make_settings()
    bars = list(small_bars(count, symbols))
    bars[-1] = bars[-1][late:]
    market = market_of(settings, tuple(bars))
    return market, label_market(market, settings.broker, horizon=horizon)


@pytest.mark.parametrize("horizon", [3, 40])
@pytest.mark.parametrize("late", [0, 300])
@pytest.mark.parametrize("stopping", [0.1, 0.5])
def test_no_label_of_the_earlier_part_looks_as_far_as_a_later_feature_looks_back(
    horizon: int, late: int, stopping: float
) -> None:
    market, labels = world(horizon, late=late)
    earlier, later = part(labels, market, stopping=stopping)
    for index, _ in enumerate(market.segments):
        last = earlier.row[earlier.segment == index].max()
        first = later.row[later.segment == index].min()
        assert last + 1 + horizon < first - market.window + 1
        assert first - last - 1 >= market.window + horizon
    # One date parts all symbols.
    assert market.time[earlier.row].max() < market.time[later.row].min()
    assert len(later) / (len(earlier) + len(later)) == pytest.approx(stopping, abs=0.01)
    assert len(later) <= stopping * (len(earlier) + len(later))


def test_nothing_but_the_embargo_is_left_out() -> None:
    market, labels = world(5)
    earlier, later = part(labels, market, stopping=0.25)
    assert len(labels) - len(earlier) - len(later) <= len(market.segments) * (market.window + 5)
    assert set(earlier.row.tolist()) | set(later.row.tolist()) <= set(labels.row.tolist())


def test_where_the_embargo_leaves_no_room_a_part_is_empty() -> None:
    market, labels = world(200, count=700)
    earlier, later = part(labels, market, stopping=0.25)
    assert not len(earlier) or not len(later)
    nothing = labels[np.zeros(len(labels), bool)]
    assert [len(own) for own in part(nothing, market, stopping=0.25)] == [0, 0]


def test_every_class_weighs_the_same() -> None:
    label = np.asarray([0, 1, 1, 1, 2, 2])
    weights = Examples(np.zeros((6, 1), np.float32), label).weights()
    np.testing.assert_allclose([weights[label == own].sum() for own in range(3)], 2.0)


def test_examples_are_what_agents_see_and_at_most_so_many() -> None:
    market, labels = world(5)
    few = examples_of(labels, market, most=40, random=np.random.default_rng(0))
    assert few.features.shape == (40, len(market.features))
    every = examples_of(labels, market, most=10**6, random=np.random.default_rng(0))
    seen = np.asarray(market.tape.features)
    np.testing.assert_array_equal(every.features[17], seen[labels.row[17], labels.instrument[17]])
    assert len(every) == len(labels)
    others = examples_of(labels, market, most=40, random=np.random.default_rng(1))
    assert (few.features != others.features).any()
