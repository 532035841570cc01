"""What a run comes to, on a table small enough to work out by hand, and budgets that do not match."""

import polars as pl
import pytest

from experiments.scars.outcomes import Dose, Onsets, dose, onsets, outcomes, see_budgets, unmatched
from markets.errors import UserError


def generations(arm: str = "scars", **changes: float) -> pl.DataFrame:
    """Four generations of one run: a kind comes, none, it comes again, and a third time."""
    rows = []
    for generation, (presentation, ruined, faced, before, place, places, calm) in enumerate(
        [
            (1, 8.0, 8.0, 8.0, 24.0, 24.0, 0.10),
            (0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.12),
            (2, 6.0, 8.0, 4.0, 18.0, 24.0, 0.14),
            (3, 2.0, 8.0, 2.0, 18.0, 24.0, 0.16),
        ]
    ):
        rows.append(
            {
                "seed": 1,
                "world": "P",
                "arm": arm,
                "strength": 4.0,
                "generation": generation,
                "presentation": presentation,
                "ruined": ruined,
                "faced": faced,
                "before": before,
                "place": place,
                "places": places,
                "calm": 48 * calm,
                "quiet": 48.0,
                "ruined_calm": 0.0,
                "acted": 100.0,
                "updates": 10.0,
                "births": 2.0,
                "offered": 3.0,
                "events": 3,
                "hits": 6,
                **changes,
            }
        )
    return pl.DataFrame(rows)


def test_ruin_selectivity_and_calm_return_by_hand() -> None:
    row = outcomes(generations()).row(0, named=True)
    assert row["ruined"] == (6 + 2) / 16
    assert row["ruined_first"] == 1.0
    assert row["ruined_second"] == 6 / 8
    assert row["before"] == 6 / 16
    assert row["place"] == 36 / 48
    assert row["selectivity"] == 1 - (6 / 16) / (36 / 48)
    assert row["calm"] == pytest.approx(0.13)
    assert row["acted"] == 400.0


def test_who_holds_nothing_has_no_selectivity() -> None:
    flat = generations().with_columns(before=pl.lit(0.0), place=pl.lit(0.0))
    assert outcomes(flat)["selectivity"][0] is None


@pytest.mark.parametrize("budget", ["acted", "updates", "births"])
def test_a_run_with_more_to_spend_is_told(budget: str) -> None:
    both = pl.concat([generations("none"), generations("scars")])
    see_budgets(outcomes(both))
    tampered = pl.concat([generations("none"), generations("scars", **{budget: 11.0})])
    with pytest.raises(UserError, match=f"seed 1, world P, arm scars: {budget} is 44"):
        see_budgets(outcomes(tampered))


def test_a_sham_is_offered_the_events_of_its_pair() -> None:
    see_budgets(outcomes(pl.concat([generations("scars"), generations("sham")])))
    with pytest.raises(UserError, match="offered 16 events, but there are 12 events of its pair"):
        see_budgets(outcomes(pl.concat([generations("scars"), generations("sham", offered=4.0)])))
    with pytest.raises(UserError, match="no pair"):
        see_budgets(outcomes(generations("sham")))


def test_unmatched_events_are_counted() -> None:
    few = generations("sham").with_columns(events=pl.lit(2, pl.Int64))
    assert unmatched(outcomes(pl.concat([generations("scars"), few]))) == pytest.approx(1 / 3)


def test_dose_and_onsets_by_hand() -> None:
    rows = [
        ("P", "scars", 0.2, [1, 2], 30, 40),
        ("P", "scars", 0.4, [3], 30, 32),
        ("N", "scars", 0.9, [1, 2, 3], 0, 9),
        ("P", "memory", 0.3, [], 31, 40),
        ("P", "memory", 0.3, [], 32, 40),
        ("P", "memory", 0.3, [], 38, 40),
        ("P", "memory", 0.3, [], 39, 40),
        ("N", "memory", 0.3, [], 32, 40),
    ]
    names = ["world", "arm", "severity", "hit", "onset", "bottom"]
    events = pl.DataFrame(rows, schema=names, orient="row")
    assert dose(events, outcomes(generations()), 4) == Dose(pytest.approx(0.3), 1.5, 0.5)
    assert onsets(events) == Onsets(5.0, 0.5)
    assert dose(events.clear(), outcomes(generations()), 4) == Dose(0.0, 0.0, 0.0)
    assert onsets(events.clear()) is None
