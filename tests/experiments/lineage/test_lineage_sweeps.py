"""The common ancestor through time against a walk in every generation; sweeps by hand, and by chance."""

import numpy as np
import polars as pl
import pytest
from families import families, family
from hypothesis import given, settings

from experiments.lineage.neutral import neutral
from experiments.lineage.sweeps import coalescence, neutral_lag, sweeps
from experiments.lineage.tree import tree_of


def lines_of(table: pl.DataFrame) -> dict[int, list[int]]:
    """Every agent's line from itself to its founder."""
    parent = dict(table.select("id", "ancestor_id").iter_rows())
    lines: dict[int, list[int]] = {}
    for agent in table.sort("origin_time", "id")["id"]:
        lines[agent] = [agent, *([] if parent[agent] == agent else lines[parent[agent]])]
    return lines


def living_at(table: pl.DataFrame, generation: int) -> list[int]:
    ended = pl.col("destruction_time").fill_null(generation)
    return table.filter(pl.col("origin_time") <= generation, ended >= generation)["id"].to_list()


def common(lines: dict[int, list[int]], agents: list[int]) -> int | None:
    shared = set.intersection(*(set(lines[agent]) for agent in agents)) if agents else set()
    return max(shared, key=lambda agent: len(lines[agent])) if shared else None


@given(families())
@settings(max_examples=80, deadline=None)
def test_the_common_ancestor_of_every_generation(table: pl.DataFrame) -> None:
    lines = lines_of(table)
    born = dict(table.select("id", "origin_time").iter_rows())
    found = coalescence(tree_of(table))
    last = max(table["origin_time"].max(), table["destruction_time"].max() or 0)
    assert found["generation"].to_list() == list(range(last + 1))
    for row in found.to_dicts():
        now = living_at(table, row["generation"])
        assert row["living"] == len(now)
        assert row["ancestor_id"] == common(lines, now)
        if row["ancestor_id"] is not None:
            assert row["born"] == born[row["ancestor_id"]]
            assert row["lag"] == row["generation"] - row["born"]
        else:
            assert (row["born"], row["lag"]) == (None, None)


@given(families())
@settings(max_examples=60, deadline=None)
def test_sweeps_are_the_jumps_of_the_common_ancestor(table: pl.DataFrame) -> None:
    lines = lines_of(table)
    tree = tree_of(table)
    through = coalescence(tree)["ancestor_id"].to_list()
    found = sweeps(tree, threshold=0.6, within=None).to_dicts()
    jumps = [g for g, who in enumerate(through) if who is not None and who != ([None, *through])[g]]
    assert [row["generation"] for row in found] == jumps
    for row in found:
        now = row["generation"]
        assert row["id"] == through[now]
        assert row["duration"] == now - row["born"]
        assert row["previous_id"] == (through[now - 1] if now else None)
        shares = []
        for g in range(row["born"], now + 1):
            agents = living_at(table, g)
            shares.append(sum(row["id"] in lines[agent] for agent in agents) / len(agents))
        assert row["crossed"] == row["born"] + next(k for k, share in enumerate(shares) if share >= 0.6)
        if row["previous_id"] is not None:
            assert row["jump"] == row["born"] - table.filter(pl.col("id") == row["previous_id"])["origin_time"].item()


def test_founders_who_follow_each_other_each_have_their_time() -> None:
    table = family([None, 0, None], [0, 1, 5], [1, 3, None])
    found = coalescence(tree_of(table))
    assert found["ancestor_id"].to_list() == [0, 0, 1, 1, None, 2]
    assert found["living"].to_list() == [1, 2, 1, 1, 0, 1]
    assert found["lag"].to_list() == [0, 1, 1, 2, None, 0]


def test_nobody_has_no_common_ancestor() -> None:
    assert coalescence(tree_of(family([]))).height == 0
    assert sweeps(tree_of(family([]))).height == 0


def test_an_agent_whose_children_take_over_is_a_sweep() -> None:
    """Neutral turn-over of 40, but that for ten generations every second child is one of a single agent's line."""
    tree = neutral(40, 300, seed=3)
    table = pl.DataFrame({"id": tree.id, "ancestor_id": tree.parent, "origin_time": tree.born, "died": tree.died})
    hero, parents = 40 * 150 + 7, table["ancestor_id"].to_list()
    line, before = [hero], 150
    for row in range(40 * 151, 40 * 161):
        if row % 40 == 0:
            eldest = next(one for one in line if tree.born[one] == before)
            before += 1
        if row % 2:
            parents[row] = eldest
        if parents[row] in line:
            line.append(row)
    died = pl.when(pl.col("died") >= 0).then("died")
    swept = table.with_columns(
        ancestor_id=pl.Series(parents, dtype=pl.UInt64), destruction_time=died, second_parent_id=pl.lit(None, pl.UInt64)
    )
    found = sweeps(tree_of(swept))
    assert found.height
    first = found.row(0, named=True)
    assert 150 <= first["born"] <= first["crossed"] <= first["generation"] <= 165
    assert first["duration"] <= 0.2 * first["neutral"]


def test_by_chance_hardly_any_jump_is_a_sweep_and_the_lag_is_as_expected() -> None:
    tree = neutral(30, 4000, seed=0)
    jumps = sweeps(tree, within=None)
    assert jumps.height > 100
    assert sweeps(tree).height <= 0.05 * jumps.height
    lag = coalescence(tree)["lag"].drop_nulls()
    assert neutral_lag(tree) == pytest.approx(2 * 30 * (1 - 1 / 30))
    # The lag forgets within about its own length, so these are some hundred draws with a spread of half their mean.
    assert lag.mean() == pytest.approx(neutral_lag(tree), rel=0.2)


@pytest.mark.parametrize("threshold", [0.0, 1.5])
def test_a_threshold_that_is_no_share_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        sweeps(neutral(3, 3), threshold=threshold)


def test_thirty_thousand_generations_of_one_line() -> None:
    tree = neutral(1, 30_000)
    found = coalescence(tree)
    assert found["lag"].sum() == 0
    assert found.height == 30_001
    assert np.isnan(neutral_lag(tree))
