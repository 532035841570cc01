"""What the founders study says of tables whose answer is known."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from experiments.studies.founders_summary import confirmed, head, mean_lines, seed_line, summary

PLAYERS = ("evolved", "library", "founder_library", "evolved_random", "founder_random", "hold", "oracle")


def made(edge: float | None = 8.0, **returns: list[float]) -> pl.DataFrame:
    """A table of all regimes together, in bp; who is not named is not in it. Sharpe ratios are the same in bp."""
    rows = [
        {
            "edge": edge,
            "seed": seed,
            "player": player,
            "regime": "all",
            "log_return": 1e-4 * value,
            "sharpe": value,
        }
        for player, values in returns.items()
        for seed, value in enumerate(values)
    ]
    return pl.DataFrame(rows, schema_overrides={"edge": pl.Float64, "log_return": pl.Float64, "sharpe": pl.Float64})


def scores(first: list[float], last: list[float]) -> pl.DataFrame:
    return pl.DataFrame({"seed": range(len(first)), "first": first, "last": last})


CLEAR = {"evolved": [2.0, 2.2, 2.1], "library": [1.0, 1.1, 1.2], "evolved_random": [1.4, 1.5, 1.3]}


@pytest.mark.parametrize(
    ("changed", "want"),
    [
        ({}, True),
        ({"library": [1.0, 1.1, 3.0]}, False),
        ({"library": [3.0, 3.1, 3.2]}, False),
        ({"evolved_random": [2.0, 2.3, 2.1]}, False),
        ({"founder_random": [1.3, 1.4, 1.2]}, True),
        ({"founder_random": [1.3, 1.6, 1.0]}, False),
        ({"founder_random": [1.5, 1.6, 1.4]}, False),
        ({"founder_library": [9.0, 9.0, 9.0]}, True),
    ],
)
def test_founders_help_if_those_they_led_to_beat_the_library_and_random_ones_that_evolved_beyond_doubt(
    changed: dict[str, list[float]], want: bool
) -> None:
    table = made(**{**CLEAR, **changed})
    assert confirmed(table) is want
    first = next(summary(table, "lightgbm", {}))
    assert first.startswith(f"founders from lightgbm, 3 seeds: {'' if want else 'NOT '}CONFIRMED;")


@pytest.mark.parametrize("edge", [None, 0.0])
def test_nothing_is_asked_of_bars_that_promise_nothing(edge: float | None) -> None:
    table = made(edge, **{**CLEAR, "library": [5.0, 5.0, 5.0]})
    assert confirmed(table) is None
    assert "CONFIRMED" not in "".join(summary(table, "xgboost", {}))


def test_differences_are_of_pairs_with_students_interval_and_seeds_counted() -> None:
    lines = list(summary(made(founder_library=[1.0, 2.2, 2.5], founder_random=[0.0] * 3, **CLEAR), "lightgbm", {}))
    gain = np.asarray(CLEAR["evolved"]) - np.asarray(CLEAR["library"])
    low, high = stats.t.interval(0.95, 2, loc=gain.mean(), scale=stats.sem(gain))
    assert lines[1].split("library ")[1].strip() == (
        f"{gain.mean():+.3f} ({low:+.3f} to {high:+.3f}), ahead in 3 of 3 seeds"
    )
    assert [line.split("  ")[1].strip() for line in lines[1:5]][:2] == ["evolved − library", "evolved − evolved_random"]
    assert lines[3].startswith("  evolved_random − founder_random")
    assert "+1.400 (" in lines[3]
    assert lines[4].startswith("  evolved − founder_library")
    assert lines[4].endswith("ahead in 1 of 3 seeds"), "a tie is not won"


def test_validation_scores_are_told_of_each_arm() -> None:
    known = {"catboost": scores([1e-4, 2e-4], [3e-4, 2e-4]), "random": scores([0.0, 0.0], [1e-4, 3e-4])}
    lines = list(summary(made(**{name: own[:2] for name, own in CLEAR.items()}), "catboost", known))
    assert " ".join(lines[-2].split()) == "founders from catboost +1.500 to +2.500, +1.000, rose in 1 of 2 seeds"
    assert " ".join(lines[-1].split()) == "founders random +0.000 to +2.000, +2.000, rose in 2 of 2 seeds"


def test_a_line_a_seed_and_two_beneath_them_stand_under_one_head() -> None:
    table = made(**{name: [float(place), float(place) + 1] for place, name in enumerate(PLAYERS)})
    line = seed_line(table.filter(seed=1))
    assert line.split() == ["1", *(f"{place + 1:+.2f}" for place in range(7))]
    mean, sharpe = mean_lines(table)
    assert mean.split() == ["mean", *(f"{place + 0.5:+.2f}" for place in range(7))]
    assert sharpe.split() == ["Sharpe", *(f"{place + 0.5:.2f}" for place in range(7))]
    names, wide = list(head("lightgbm"))[-1], {len(line), len(mean), len(sharpe)}
    assert wide == {len(names)}
    assert len(names) <= 80


def test_who_is_missing_was_flat_but_an_oracle_is_known_or_not() -> None:
    line = seed_line(made(None, **{name: own[:1] for name, own in CLEAR.items()}))
    assert line.split() == ["0", "+2.00", "+1.00", "+0.00", "+1.40", "+0.00", "+0.00", "–"]
