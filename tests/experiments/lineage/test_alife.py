"""The ALife standard: what is written loads in phylotrackpy, and what tools write comes back as a lineage."""

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from lineage_samples import SMALL, lineage_table, random_lineage
from polars.testing import assert_frame_equal

from arena.schemas import LINEAGE
from experiments.lineage import alife
from experiments.lineage.alife import ALIFE_COLUMNS, read_alife, write_alife
from experiments.lineage.tree import alive, depth, mrca, tree_of
from markets.errors import UserError


def read_text(tmp_path: Path, *lines: str) -> pl.DataFrame:
    """What comes of a file with such lines."""
    path = tmp_path / "given.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_alife(path)


def loaded(path: Path, *, leaves_live: bool) -> Any:
    """A file as phylotrackpy has it."""
    systematics = pytest.importorskip("phylotrackpy.systematics", reason="no phylotrackpy: pip install '.[oracles]'")
    found = systematics.Systematics(lambda organism: organism)
    found.load_from_file(str(path), "taxon_label", leaves_live)
    return found


def test_the_standard_columns_come_first_and_say_what_the_standard_says(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    write_alife(lineage_table(), path)
    text = pl.read_csv(path, infer_schema=False)
    assert tuple(text.columns[:4]) == ALIFE_COLUMNS
    assert text["ancestor_list"].to_list() == ["[none]", "[none]", "[0]", "[0]", "[5]", "[1]"]
    assert text["origin_time"].to_list() == ["0", "0", "1", "2", "3", "4"]
    assert text["destruction_time"].to_list() == ["2", "inf", "1", "inf", "inf", "6"]
    assert text["second_parent_id"].to_list() == [None, None, None, "4", "0", "1"]
    assert text["taxon_label"].to_list() == ["0", "1", "4", "5", "7", "9"]
    assert set(text.columns) - {*ALIFE_COLUMNS, "taxon_label"} == {*LINEAGE} - {
        "id",
        "ancestor_id",
        "origin_time",
        "destruction_time",
    }


def test_both_parents_stand_in_the_list_where_they_are_asked_for_and_there(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    table = lineage_table()
    write_alife(table, path, both=True)
    listed = pl.read_csv(path, infer_schema=False)["ancestor_list"].to_list()
    assert listed == ["[none]", "[none]", "[0]", "[0,4]", "[5,0]", "[1]"]
    write_alife(table.filter(pl.col("id") != 4), path, both=True)
    assert pl.read_csv(path, infer_schema=False)["ancestor_list"].to_list() == [
        *("[none]", "[none]", "[0]", "[5,0]", "[1]")
    ]


@pytest.mark.parametrize("both", [False, True])
def test_what_is_written_comes_back_equal(*, both: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alife, "_ROWS", 7)
    for seed, table in enumerate([lineage_table(), *(random_lineage(60, seed) for seed in range(5))]):
        path = tmp_path / f"{seed}.csv"
        write_alife(table, path, both=both)
        assert_frame_equal(read_alife(path).drop("taxon_label"), table)


def test_rows_in_any_order_with_gaps_between_ids_and_columns_of_others(tmp_path: Path) -> None:
    table = random_lineage(40, 3)
    write_alife(table, tmp_path / "out.csv")
    mixed = pl.read_csv(tmp_path / "out.csv", infer_schema=False).sample(fraction=1.0, shuffle=True, seed=1)
    mixed = mixed.with_columns(fitness=pl.lit("x,\"y'\n"), **{" depth": pl.lit("7")})
    mixed.select(reversed(mixed.columns)).write_csv(tmp_path / "mixed.csv")
    assert_frame_equal(read_alife(tmp_path / "mixed.csv").drop("taxon_label"), table)


def test_it_loads_in_phylotrackpy_with_the_same_counts_depths_and_common_ancestor(tmp_path: Path) -> None:
    for seed in range(3):
        table = random_lineage(80, seed, founders=1)
        table = table.filter(pl.col("ancestor_id").is_in(table["id"].implode()))
        tree, path = tree_of(table), tmp_path / f"{seed}.csv"
        write_alife(table, path)
        theirs = loaded(path, leaves_live=False)
        assert theirs.get_num_taxa() == len(tree)
        assert theirs.get_num_active() == int(alive(tree).sum())
        assert theirs.get_num_roots() == int(tree.is_root.sum())
        depths = dict(zip(tree.id.tolist(), depth(tree).tolist(), strict=True))
        active = {taxon.get_id(): taxon for taxon in theirs.get_active_taxa()}
        assert set(active) == set(tree.id[alive(tree)].tolist())
        for own, taxon in active.items():
            assert theirs.get_distance_to_root(taxon) == depths[own]
            assert taxon.get_origination_time() == tree.born[tree.id == own][0]
            assert taxon.get_info() == own
        common = mrca(tree, alive(tree))
        if common is not None:
            assert theirs.get_mrca().get_id() == tree.id[common]
            assert theirs.mrca_depth() == depths[int(tree.id[common])]


def test_a_snapshot_of_phylotrackpy_comes_in(tmp_path: Path) -> None:
    systematics = pytest.importorskip("phylotrackpy.systematics", reason="no phylotrackpy: pip install '.[oracles]'")
    draw = random.Random(4)
    theirs = systematics.Systematics(lambda organism: organism)
    living = [theirs.add_org(str(k)) for k in range(4)]
    for generation in range(1, 8):
        theirs.set_update(generation)
        born = [theirs.add_org(f"{generation},{k}", draw.choice(living)) for k in range(4)]
        for taxon in living:
            theirs.remove_org(taxon)
        living = born
    theirs.snapshot(str(tmp_path / "snapshot.csv"))
    tree = tree_of(read_alife(tmp_path / "snapshot.csv"))
    assert len(tree) == theirs.get_num_taxa()
    assert sorted(tree.id[alive(tree)].tolist()) == sorted(taxon.get_id() for taxon in theirs.get_active_taxa())
    assert tree.id[tree.parent[alive(tree)]].tolist() == [
        taxon.get_parent().get_id() for taxon in sorted(theirs.get_active_taxa(), key=lambda taxon: taxon.get_id())
    ]


@pytest.mark.parametrize("nobody", ["[none]", "['none']", "[NONE]", "[]", '"[""None""]"', "none", ""])
def test_a_root_may_be_written_in_many_ways(nobody: str, tmp_path: Path) -> None:
    table = read_text(
        tmp_path,
        "id,ancestor_list,origin_time,destruction_time",
        f"3,{nobody},0,inf",
        "8,[ 3 ],1.0,None",
        "5,['3'],2,2.0",
    )
    assert table["ancestor_id"].to_list() == [3, 3, 3]
    assert table["id"].to_list() == [3, 8, 5]
    assert table["destruction_time"].to_list() == [None, None, 2]
    assert table["species"].null_count() == 3


def test_times_that_are_missing_follow_from_who_descends_from_whom(tmp_path: Path) -> None:
    told: list[str] = []
    path = tmp_path / "bare.csv"
    path.write_text('id,ancestor_list\n4,"[1,3]"\n1,[none]\n3,[2]\n2,[1]\n6,[none]\n')
    table = read_alife(path, told.append)
    found = dict(zip(table["id"], zip(table["origin_time"], table["destruction_time"], strict=True), strict=True))
    assert found == {1: (0, 3), 6: (0, None), 2: (1, 2), 3: (2, 3), 4: (3, None)}
    assert table["depth"].to_list() == [{1: 0, 6: 0, 2: 1, 3: 2, 4: 1}[own] for own in table["id"]]
    assert [line.split()[0] for line in told] == ["origin_time", "destruction_time"]


def test_parents_and_children_of_one_time_come_parents_first(tmp_path: Path) -> None:
    table = read_text(tmp_path, "id,ancestor_list,origin_time", "1,[2],5", "2,[3],5", "3,[none],5")
    assert table["id"].to_list() == [3, 2, 1]
    assert table["depth"].to_list() == [0, 1, 2]


def test_blank_lines_at_the_end_and_of_windows_are_no_rows(tmp_path: Path) -> None:
    assert read_text(tmp_path, "id,ancestor_list\r", "1,[none]\r", "2,[1]\r", "\r", "\r")["id"].to_list() == [1, 2]


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="is no regular file"):
        read_alife(tmp_path / "pipe")


def test_a_column_of_ours_that_holds_something_else_is_ignored(tmp_path: Path) -> None:
    head = "id,ancestor_list,origin_time,destruction_time,island,species,taxon_label"
    table = read_text(tmp_path, head, "0,[none],0,inf,Skye,fish,a", "1,[0],1,inf,2,fish,")
    assert table["island"].to_list() == [None, None]
    assert table["species"].to_list() == ["fish", "fish"]
    assert table["taxon_label"].to_list() == ["a", None]


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([], "is empty"),
        (["id,ancestor_list"], "has no rows"),
        (["\x00\x01PAR1", "\x02"], "is no text"),
        (["id,ancestor_list", "", "1,[none]"], "row 2: id '' is no id"),
        (["id,parent", "1,[none]"], "no column ancestor_list, but id, parent"),
        (["id,ancestor_list", "1,[none]", "-2,[1]"], "row 3: id '-2' is no id"),
        (["id,ancestor_list", "1,[none]", "x,[1]"], "row 3: id 'x' is no id"),
        (["id,ancestor_list", "1,[none]", "2,[1]", "1,[none]"], "row 4: agent 1 stands in an earlier row too"),
        (["id,ancestor_list", "1,[none]", "2,[7]"], r"row 3: ancestor_list '\[7\]' names an agent that has no row"),
        (["id,ancestor_list", "1,[none]", '2,"[1,7]"'], r"row 3: ancestor_list '\[1,7\]' names an agent"),
        (["id,ancestor_list", "1,[none]", "2,[a]"], r"row 3: ancestor_list '\[a\]' is no list"),
        (["id,ancestor_list", "1,[none]", "2,[1]", "3,[1]", '4,"[1,2,3]"'], "row 5: .* names more than two"),
        (["id,ancestor_list,origin_time", "1,[none],0", "2,[1],soon"], "row 3: origin_time 'soon' is no time"),
        (["id,ancestor_list,origin_time", "1,[none],0", "2,[1],"], "row 3: origin_time '' is no time"),
        (["id,ancestor_list,origin_time", "1,[none],0", "2,[1],0.5"], "row 3: origin_time '0.5'"),
        (["id,ancestor_list,origin_time", "1,[none],-1"], "row 2: origin_time '-1'"),
        (["id,ancestor_list,origin_time", "1,[none],5", "2,[1],4"], "row 3: origin_time 4 is before .* 5"),
        (
            ["id,ancestor_list,origin_time", "1,[none],5", "3,[none],6", '2,"[1,3]",5'],
            "row 4: .* its second ancestor, 6",
        ),
        (["id,ancestor_list,origin_time,destruction_time", "1,[none],5,4"], "row 2: destruction_time 4 is before"),
        (["id,ancestor_list", "1,[2]", "2,[1]", "3,[none]"], "agent [12] "),
        (["id,ancestor_list", "1,[none],7,8,9", "2,[1]"], "cannot be read as CSV"),
    ],
)
def test_a_mistake_is_one_line_with_the_file_and_the_row(lines: list[str], complaint: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=complaint) as caught:
        read_text(tmp_path, *lines) if lines else read_alife(_empty(tmp_path))
    assert "given.csv: " in str(caught.value)
    assert "right is" in str(caught.value) or "agent" in str(caught.value)


def _empty(folder: Path) -> Path:
    (folder / "given.csv").write_bytes(b"")
    return folder / "given.csv"


def test_an_agent_without_anything_of_ours_is_written_in_the_columns_of_the_standard_alone(tmp_path: Path) -> None:
    table = lineage_table(tuple((*row[:5], *[None] * 5) for row in SMALL if row[2] is None))
    write_alife(table, tmp_path / "out.csv")
    assert pl.read_csv(tmp_path / "out.csv").columns == [*ALIFE_COLUMNS, "taxon_label", "depth"]
    assert np.array_equal(read_alife(tmp_path / "out.csv")["id"], table["id"])
