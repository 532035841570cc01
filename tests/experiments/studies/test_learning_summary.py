"""What the learning study says of tables whose answer is known."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from experiments.studies.learning import ARMS
from experiments.studies.learning_summary import COMPARED, HEAD, arm_line, conclusion, differences, summary

ORACLE = [2.5, 2.0, 3.0, 2.7]
CLEAR = {
    "evolution": [1.0, 0.9, 1.2, 1.1],
    "learning": [0.2, 0.4, 0.3, 0.1],
    "lamarckian": [1.5, 1.2, 1.8, 1.7],
    "baldwinian": [1.4, 1.3, 1.7, 1.7],
}


def made(species: str = "forest", **champions: list[float]) -> pl.DataFrame:
    """A table of all regimes together, in bp; Sharpe ratios are three times as large."""
    rows = [
        {
            "species": species,
            "arm": arm,
            "seed": seed,
            "player": player,
            "regime": "all",
            "log_return": 1e-4 * values[seed],
            "sharpe": 3.0 * values[seed],
        }
        for arm, own in champions.items()
        for player, values in (("champion", own), ("founder", [0.5] * 4), ("hold", [0.0] * 4), ("oracle", ORACLE))
        for seed in range(4)
    ]
    return pl.DataFrame(rows)


def test_differences_are_of_pairs_as_a_share_of_the_oracles_mean_with_the_jackknifes_interval() -> None:
    found = {(one.better, one.worse): one for one in differences(made(**CLEAR))}
    assert tuple(found) == COMPARED
    assert {name for pair in COMPARED for name in pair} == set(ARMS)
    for better, worse in COMPARED:
        one, gain = found[better, worse], np.asarray(CLEAR[better]) - np.asarray(CLEAR[worse])
        whole = gain.mean() / np.mean(ORACLE)
        left = np.asarray([np.delete(gain, seed).mean() / np.delete(ORACLE, seed).mean() for seed in range(4)])
        error = np.sqrt(3 / 4 * ((left - left.mean()) ** 2).sum())
        np.testing.assert_allclose(one.share, whole + error * stats.t.ppf([0.5, 0.025, 0.975], 3), atol=1e-12)
        want = stats.t.interval(0.95, 3, loc=3 * gain.mean(), scale=stats.sem(3 * gain))
        np.testing.assert_allclose(one.sharpe, (3 * gain.mean(), *want), rtol=1e-6)
        assert (one.ahead, one.seeds) == (int((gain > 0).sum()), 4)


def test_seeds_are_paired_wherever_their_rows_stand() -> None:
    table = made(**CLEAR)
    assert differences(table.sample(fraction=1.0, shuffle=True, seed=1)) == differences(table)
    with pytest.raises(AssertionError, match="arms are of the same seeds"):
        differences(table.filter(~((pl.col("arm") == "learning") & (pl.col("seed") == 2))))


@pytest.mark.parametrize(
    ("lamarckian", "over", "under"),
    [
        (CLEAR["lamarckian"], "better than evolution alone", "better than learning alone"),
        ([1.1, 0.7, 1.2, 1.0], "not to be told from evolution alone", "better than learning alone"),
        ([0.3, 0.3, 0.3, 0.2], "worse than evolution alone", "not to be told from learning alone"),
        ([-0.4, -0.2, -0.3, -0.5], "worse than evolution alone", "worse than learning alone"),
    ],
)
def test_the_conclusion_is_told_whichever_way_it_falls(lamarckian: list[float], over: str, under: str) -> None:
    said = conclusion(made(**{**CLEAR, "lamarckian": lamarckian}))
    assert over in said
    assert under in said
    assert said.startswith(f"forest: evolution with learning reaches {np.sum(lamarckian) / np.sum(ORACLE):.0%} of the")
    assert "evolution alone (41%)" in said
    assert "learning alone (10%)" in said
    assert "it reaches 60%" in said


def test_an_arm_is_one_line_under_the_head() -> None:
    line = arm_line(made(lamarckian=CLEAR["lamarckian"]), 1234.4)
    cells = line.split()
    assert cells[:5] == ["forest", "lamarckian", "+0.50", f"{np.mean(CLEAR['lamarckian']):+.2f}", "+2.55"]
    assert cells[5] == f"{np.sum(CLEAR['lamarckian']) / np.sum(ORACLE):.0%}"
    assert cells[-3:] == [f"{3 * np.mean(CLEAR['lamarckian']):.2f}", f"{3 * 2.55:.2f}", "1,234"]
    assert {len(text) for text in HEAD} >= {len(line)}


def test_every_species_has_its_differences_and_its_conclusion() -> None:
    table = pl.concat([made("qnetwork", **CLEAR), made("forest", **CLEAR)])
    first, *lines = summary(table)
    assert first.startswith("4 seeds, paired;")
    assert [line.split()[0] for line in lines] == ["qnetwork"] * 5 + ["forest"] * 5 + ["qnetwork:", "forest:"]
    gain = np.asarray(CLEAR["lamarckian"]) - np.asarray(CLEAR["evolution"])
    assert lines[0].split()[1:5] == ["lamarckian", "−", "evolution", f"{100 * gain.sum() / np.sum(ORACLE):+.1f}"]
    assert lines[0].endswith("ahead in 4 of 4")


def test_who_is_missing_was_flat_and_an_oracle_that_loses_has_no_share() -> None:
    table = made(**CLEAR)
    alone = table.filter(~((pl.col("arm") == "learning") & (pl.col("player") == "champion")))
    assert "learning alone (0%)" in conclusion(alone)
    lost = table.with_columns(
        pl.when(pl.col("player") == "oracle")
        .then(-pl.col("log_return"))
        .otherwise(pl.col("log_return"))
        .alias("log_return")
    )
    *_, said = summary(lost)
    assert said.startswith("forest: evolution with learning reaches – of the")
    assert said.count("not to be told from") == 3
