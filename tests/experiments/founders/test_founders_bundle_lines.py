"""Lines of earlier runs: read from a manifest, kept as a table, and a lineage that goes on into them."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.schemas import LINEAGE, ORIGINS
from experiments.lineage.neutral import neutral_table
from experiments.lineage.origins import FIRST, Ancestor, above, ancestors_in, continued, named, origins_table
from experiments.lineage.tree import branch_lengths, depth, root, tree_of
from markets.errors import UserError


def agent(run: str, own: int, generation: int, parent: int | None, second: int | None = None) -> Ancestor:
    operator = "founder" if parent is None else "mutation" if second is None else "crossover"
    return Ancestor(own, parent, second, generation, "forest", 0, operator, None if parent is None else 0.125, run)


FIRST_RUN = [agent("a", 3, 0, None), agent("a", 20, 2, 3), agent("a", 41, 5, 20, 3)]
SIBLING = [*FIRST_RUN[:2], agent("a", 60, 9, 20, 41)]
THROUGH_TWO = [*FIRST_RUN, agent("b", 3, 0, None), agent("b", 33, 4, 3, 999)]
"""A champion of run b, which the champion 41 of run a founded."""


def test_shared_ancestors_of_several_champions_are_there_once_on_one_clock() -> None:
    origins = origins_table([("x", SIBLING, [0]), ("y", THROUGH_TWO, [1, 3])])
    assert origins.schema == ORIGINS
    table = neutral_table(4, 6, seed=1)
    whole, begins = continued(table, origins)
    labels = dict(zip(whole["taxon_label"].to_list(), whole.iter_rows(named=True), strict=True))
    earlier = {label: row for label, row in labels.items() if row["id"] >= FIRST}
    assert sorted(earlier) == ["a/20", "a/3", "a/41", "a/60", "b/3", "b/33"]
    assert {label: row["origin_time"] for label, row in earlier.items()} == {
        "a/3": 0,
        "a/20": 2,
        "a/41": 5,
        "a/60": 9,
        "b/3": 6,
        "b/33": 10,
    }
    assert begins == 11
    assert labels["b/3"]["ancestor_id"] == labels["a/41"]["id"], "from the champion to the founder that it became"
    assert labels["a/41"]["second_parent_id"] == labels["a/3"]["id"]
    assert labels["a/60"]["second_parent_id"] == labels["a/41"]["id"]
    assert labels["b/33"]["second_parent_id"] is None, "agent 999 of run b is on no line"
    assert labels["a/41"]["destruction_time"] == 9, "its last child here is 60, by its second parent"
    assert labels["b/33"]["destruction_time"] == begins
    assert (labels["0"]["ancestor_id"], labels["1"]["ancestor_id"]) == (labels["a/60"]["id"], labels["b/33"]["id"])
    assert labels["2"]["ancestor_id"] == 2, "who was drawn stays a root"
    assert labels["1"]["depth"] == 5


def test_a_run_begins_behind_the_youngest_of_its_champions() -> None:
    other = [*SIBLING, agent("b", 4, 0, None), agent("b", 50, 7, 4)]
    whole, begins = continued(neutral_table(2, 2, seed=1), origins_table([("y", THROUGH_TWO, [0]), ("z", other, [1])]))
    times = dict(whole.select("taxon_label", "origin_time").rows())
    assert (times["b/3"], times["b/4"], times["b/33"], times["b/50"], begins) == (10, 10, 14, 17, 18)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_continued_lineage_is_the_same_tree_with_another_on_top(seed: int) -> None:
    random = np.random.default_rng(seed)
    founders = int(random.integers(2, 9))
    table = neutral_table(founders, int(random.integers(1, 12)), crossover=0.5, seed=int(random.integers(1000)))
    whose = random.integers(-1, 3, founders)
    lines = [
        (name, line, np.flatnonzero(whose == place).tolist())
        for place, (name, line) in enumerate([("x", SIBLING), ("y", THROUGH_TWO), ("z", FIRST_RUN)])
    ]
    origins = origins_table(lines)
    whole, begins = continued(table, origins)
    assert whole.schema == {**LINEAGE, "taxon_label": pl.String}
    tree, own = tree_of(whole), tree_of(table)
    np.testing.assert_array_equal(tree.id, whole["id"].to_numpy())
    assert whole["depth"].to_list() == depth(tree).tolist()
    inner = tree.id < FIRST
    np.testing.assert_array_equal(tree.id[inner], own.id)
    np.testing.assert_array_equal(tree.born[inner] - begins, own.born)
    born = ~own.is_root
    np.testing.assert_array_equal(tree.id[tree.parent[inner]][born], own.id[own.parent[born]])
    np.testing.assert_array_equal(branch_lengths(tree)[inner][born], branch_lengths(own)[born])
    for founder in range(founders):
        line = above(origins, founder)
        assert len(line) == (0 if whose[founder] < 0 else len(lines[whose[founder]][1]))
        top = tree.id[root(tree)[np.flatnonzero(tree.id == founder)[0]]]
        assert (top >= FIRST) == (whose[founder] >= 0)
        assert line == [dataclasses.asdict(one) for one in lines[whose[founder]][1]] * bool(line)
    told = named(table, origins).filter(pl.col("origin_id").is_not_null())["id"].to_list()
    assert told == np.flatnonzero(whose >= 0).tolist()


def manifest(line: list[Ancestor]) -> dict[str, Any]:
    last = line[-1]
    return {
        "champion": {"id": last.id, "run_id": last.run_id},
        "ancestry": [{**dataclasses.asdict(one), "later": "unknown keys are passed over"} for one in line],
    }


def test_a_line_is_read_as_it_was_written() -> None:
    assert ancestors_in(manifest(THROUGH_TWO)) == THROUGH_TWO


@pytest.mark.parametrize("largest", [2**31, 2**32 - 1, 2**63 - 1])
def test_ids_are_as_wide_as_an_agent_s_and_as_an_export_s(largest: int) -> None:
    wide = [
        agent("a", largest - 3, 0, None),
        agent("a", largest - 1, 1, largest - 3),
        agent("a", largest, 2, largest - 1),
    ]
    wide[2] = dataclasses.replace(wide[2], second_parent_id=largest - 3, operator="crossover")
    assert ancestors_in(manifest(wide)) == wide
    origins = origins_table([("x", wide, [0])])
    assert above(origins, 0) == [dataclasses.asdict(one) for one in wide]
    whole, _ = continued(neutral_table(2, 3, seed=1), origins)
    assert f"a/{largest}" in set(whole["taxon_label"])


@pytest.mark.parametrize(
    ("key", "value"), [("id", 2**63), ("parent_id", 2**63), ("second_parent_id", -1), ("island", -1), ("island", 2**32)]
)
def test_what_no_table_of_origins_holds_is_refused(key: str, value: int) -> None:
    wrong = manifest(FIRST_RUN)
    wrong["ancestry"][1][key] = value
    with pytest.raises(UserError, match=rf"^ancestry\[1\]\.{key}: -?\d+ (must be|is too large)"):
        ancestors_in(wrong)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ([], "ancestry: expected the champion's line"),
        ([*FIRST_RUN[1:2], *FIRST_RUN[:1]], r"ancestry\[1\]: generation 0 is not behind its parent's"),
        ([*THROUGH_TWO, agent("a", 50, 9, 41)], "ancestry: comes back to a run that it had left"),
    ],
)
def test_what_is_no_line_is_refused(line: list[Ancestor], why: str) -> None:
    with pytest.raises(UserError, match=f"^{why}"):
        ancestors_in({**manifest(FIRST_RUN), "ancestry": manifest(line or FIRST_RUN)["ancestry"] if line else []})


def test_a_line_ends_in_the_champion_and_its_entries_are_whole() -> None:
    wrong = {**manifest(FIRST_RUN), "champion": {"id": 40, "run_id": "a"}}
    with pytest.raises(UserError, match=r"^ancestry: ends in 41 of a, which is not the champion$"):
        ancestors_in(wrong)
    torn = manifest(FIRST_RUN)
    del torn["ancestry"][1]["run_id"]
    with pytest.raises(UserError, match=r"^ancestry\[1\].run_id: missing"):
        ancestors_in(torn)


def test_every_column_of_origins_is_documented_in_order() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "records.md").read_text(encoding="utf-8")
    section = re.split(r"^#+ ", text.split("### `origins.parquet`")[1], flags=re.MULTILINE)[0]
    assert re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE) == list(ORIGINS)
