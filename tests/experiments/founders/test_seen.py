"""Which bars bred the champions of earlier runs, and whether a run's holdout is among them."""

import dataclasses
from typing import Any

import pytest

from experiments.founders.seen import Seen, made_of, overlapping, seen_by, seen_in, seen_words
from markets.errors import UserError
from markets.source import market_settings

BARS = Seen("a", ("EURUSD", "GBPUSD"), "2010-01-01T00:00:00Z", "2014-06-30T00:00:00Z")


def manifest(**changes: Any) -> dict[str, Any]:
    data = {
        "symbols": ["EURUSD", "GBPUSD"],
        "first": "2010-01-01T00:00:00Z",
        "last": "2015-12-31T00:00:00Z",
        "train": ["2010-02-01T00:00:00Z", "2013-01-01T00:00:00Z"],
        "validation": ["2013-02-01T00:00:00Z", "2014-06-30T00:00:00Z"],
        "holdout": ["2014-08-01T00:00:00Z", "2015-12-31T00:00:00Z"],
        "made_up": None,
        "ancestors": [],
    }
    return {"champion": {"run_id": "a"}, "certificate": None, "data": {**data, **changes}}


def test_a_champion_saw_all_bars_up_to_the_end_of_validation_and_the_holdout_once_it_was_judged() -> None:
    assert seen_by(manifest()) == [BARS]
    (judged,) = seen_by({**manifest(), "certificate": {"verdict": "fail"}})
    assert judged == dataclasses.replace(BARS, last="2015-12-31T00:00:00Z")
    before = {"run_id": "z", "symbols": ["USDJPY"], "first": "2001-01-01T00:00:00Z", "last": "2002-01-01T00:00:00Z"}
    assert [own.run_id for own in seen_by(manifest(ancestors=[before]))] == ["z", "a"]
    assert seen_in([dataclasses.asdict(BARS)]) == [BARS]
    for spoilt in (manifest(first="soon"), manifest(ancestors=[3]), {"champion": {"run_id": "a"}}):
        with pytest.raises(UserError, match="does not say which bars its run saw"):
            seen_by(spoilt)


@pytest.mark.parametrize(
    ("symbol", "first", "last", "known"),
    [
        ("EURUSD", "2012-01-01T00:00:00", "2013-01-01T00:00:00", True),
        ("EURUSD", "2014-06-30T00:00:00Z", "2016-01-01T00:00:00Z", True),
        ("EURUSD", "2014-06-30T01:00:00", "2016-01-01T00:00:00", False),
        ("EURUSD", "2008-01-01T00:00:00", "2010-01-01T00:00:00", True),
        ("EURUSD", "2008-01-01T00:00:00", "2009-12-31T23:00:00", False),
        ("USDJPY", "2012-01-01T00:00:00", "2013-01-01T00:00:00", False),
    ],
)
def test_a_holdout_is_known_where_symbol_and_times_are(symbol: str, first: str, last: str, known: bool) -> None:
    spans = {"XAUUSD": ("2011-01-01", "2020-01-01"), symbol: (first, last)}
    assert overlapping([BARS], spans, None) == [BARS] * known
    assert overlapping([BARS], spans, {"name": "synthetic"}) == []
    assert bool(seen_words(overlapping([BARS], spans, None))) is known


def test_a_made_up_market_is_known_by_what_makes_it_however_much_of_it_there_is() -> None:
    def made(seed: int = 3, **changes: Any) -> Any:
        return made_of(market_settings({"name": "synthetic", **changes}), seed)

    assert made() == made(bars=700, symbols=2) == made(seed=3 + 2**32)
    assert made() != made(seed=4)
    assert made_of(market_settings({"name": "bars", "path": "x.csv"}), 3) is None
    seen = seen_by(manifest(made_up=made()))
    spans = {"EURUSD": ("2012-01-01", "2013-01-01")}
    assert overlapping(seen, spans, made(bars=700)) == seen
    assert overlapping(seen, spans, made(seed=4)) == overlapping(seen, spans, None) == []
