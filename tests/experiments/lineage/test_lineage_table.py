"""Lineage from births and deaths: depth, roots and the living, against a walk from child to parent."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.schemas import LINEAGE, TABLES
from experiments.lineage.table import lineage
from markets.errors import UserError


def births(parents: list[int | None], order: list[int] | None = None) -> pl.DataFrame:
    """Births of agents 0, 1, … with the given parents, one a generation, in any order of rows."""
    count = len(parents)
    frame = pl.DataFrame(
        {
            "id": range(count),
            "parent_id": pl.Series(parents, dtype=pl.Int64),
            "second_parent_id": pl.Series([None] * count, dtype=pl.Int64),
            "species": ["qnetwork"] * count,
            "island": [0] * count,
            "generation": range(count),
            "operator": ["founder" if parent is None else "mutation" for parent in parents],
            "mutation_strength": [None if parent is None else 0.5 for parent in parents],
        }
    ).select(pl.col(name).cast(kind) for name, kind in TABLES["births"].items())
    return frame if order is None else frame[order]


def deaths(ended: dict[int, int]) -> pl.DataFrame:
    return pl.DataFrame(
        {"id": list(ended), "generation": list(ended.values()), "cause": ["culled"] * len(ended)},
        schema=TABLES["deaths"],
    )


def test_a_small_family() -> None:
    table = lineage(births([None, None, 0, 2, 1], [3, 0, 4, 2, 1]), deaths({0: 2, 3: 5}))
    assert table.schema == pl.Schema(LINEAGE)
    assert table["id"].to_list() == [0, 1, 2, 3, 4]
    assert table["ancestor_id"].to_list() == [0, 1, 0, 2, 1]
    assert table["depth"].to_list() == [0, 0, 1, 2, 1]
    assert table["origin_time"].to_list() == [0, 1, 2, 3, 4]
    assert table["destruction_time"].to_list() == [2, None, None, 5, None]
    assert table["cause"].to_list() == ["culled", None, None, "culled", None]


def test_nobody_dies_twice() -> None:
    twice = pl.concat([deaths({0: 2, 1: 3}), deaths({1: 4})])
    with pytest.raises(UserError, match="agent 1 dies twice"):
        lineage(births([None, None, 0]), twice)


def test_nobody_has_no_lineage() -> None:
    assert lineage(births([]), deaths({})).height == 0


@given(st.lists(st.integers(-1, 10**6), min_size=1, max_size=80))
def test_depth_is_the_length_of_the_walk_to_a_founder(drawn: list[int]) -> None:
    parents = [None if k == 0 or draw < 0 else draw % k for k, draw in enumerate(drawn)]
    table = lineage(births(parents), deaths({}))
    for row in table.to_dicts():
        steps, at = 0, row["id"]
        while (parent := parents[at]) is not None:
            steps, at = steps + 1, parent
        assert row["depth"] == steps


def test_a_line_of_descent_as_long_as_a_run() -> None:
    count = 5000
    table = lineage(births([None, *range(count - 1)]), deaths({}))
    assert table["depth"].to_list() == list(range(count))
