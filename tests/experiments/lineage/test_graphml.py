"""Graphs over both parents: GraphML as networkx reads it, and bounded parts of a lineage as networkx graphs."""

from pathlib import Path

import networkx as nx
import numpy as np
import polars as pl
import pytest
from lineage_samples import lineage_table, random_lineage

from experiments.lineage import graphml
from experiments.lineage.graph import ancestry, graph_of, neighbourhood
from experiments.lineage.graphml import write_graphml
from experiments.lineage.tree import Tree, tree_of
from markets.errors import UserError


def read(table: pl.DataFrame, folder: Path) -> "nx.DiGraph[int]":
    path = folder / "out.graphml"
    write_graphml(table, path)
    graph = nx.read_graphml(path, node_type=int)
    assert isinstance(graph, nx.DiGraph)
    return graph


def test_networkx_reads_what_is_known_with_its_types(tmp_path: Path) -> None:
    graph = read(lineage_table(), tmp_path)
    assert set(graph.edges(data="parent")) == {
        *((0, 4, "first"), (0, 5, "first"), (4, 5, "second"), (5, 7, "first"), (0, 7, "second"), (1, 9, "first")),
    }
    assert graph.nodes[5] == {
        "species": "qnetwork",
        "island": 0,
        "operator": "crossover",
        "origin_time": 2,
        "depth": 1,
        "mutation_strength": 0.25,
    }
    assert graph.nodes[9]["destruction_time"] == 6
    assert graph.nodes[9]["cause"] == "aged"
    assert type(graph.nodes[4]["mutation_strength"]) is float
    assert graph.nodes[4]["mutation_strength"] == 0.02


def test_the_file_is_the_graph_that_is_made_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphml, "_ROWS", 16)
    for seed in range(4):
        table = random_lineage(70, seed)
        here, there = graph_of(table), read(table, tmp_path)
        assert dict(here.nodes(data=True)) == dict(there.nodes(data=True))
        assert {(a, b): data for a, b, data in here.edges(data=True)} == {
            (a, b): data for a, b, data in there.edges(data=True)
        }
        assert here.number_of_edges() == there.number_of_edges()
        assert all(
            here.in_degree(row["id"])
            == (row["ancestor_id"] != row["id"]) + (row["second_parent_id"] not in (None, row["ancestor_id"]))
            for row in table.to_dicts()
        )


def test_labels_may_hold_what_xml_may_not(tmp_path: Path) -> None:
    names = ["a<b>&\"c'", "x\x00y\x1bz", "ä\u2028\ufffe", "]]>", "", None]
    graph = read(lineage_table().with_columns(taxon_label=pl.Series(names)), tmp_path)
    found = [graph.nodes[own].get("label") for own in (0, 1, 4, 5, 9)]
    assert found == ["a<b>&\"c'", "x\ufffdy\ufffdz", "ä\u2028\ufffd", "]]>", None]


def test_a_second_parent_that_is_not_there_has_no_edge(tmp_path: Path) -> None:
    table = lineage_table().filter(pl.col("id") != 4)
    assert set(read(table, tmp_path).edges) == {(0, 5), (5, 7), (0, 7), (1, 9)}
    assert set(graph_of(table).nodes) == {0, 1, 5, 7, 9}


def test_an_ancestry_has_all_ancestors_over_both_parents() -> None:
    for seed in range(4):
        table = random_lineage(80, seed)
        tree, whole = tree_of(table), graph_of(table)
        for own in (int(tree.id[0]), int(tree.id[40]), int(tree.id[-1])):
            wanted = {own, *nx.ancestors(whole, own)}
            found = ancestry(tree, own, table=table)
            assert set(found) == wanted
            assert nx.utils.graphs_equal(found, nx.DiGraph(whole.subgraph(wanted)))
            assert set(ancestry(tree, own).edges) == set(found.edges)


def test_a_neighbourhood_has_what_is_so_many_births_away() -> None:
    for seed in range(4):
        table = random_lineage(80, seed)
        tree, whole = tree_of(table), graph_of(table)
        for own, up, down in ((int(tree.id[40]), 2, 1), (int(tree.id[30]), 0, 3), (int(tree.id[10]), 1, 99)):
            below = nx.single_source_shortest_path_length(whole, own, cutoff=down)
            above = nx.single_source_shortest_path_length(whole.reverse(), own, cutoff=up)
            found = neighbourhood(tree, own, up=up, down=down, table=table)
            assert set(found) == {*below, *above}
            assert set(found.edges) == set(whole.subgraph(found).edges)
            assert found.nodes[own] == whole.nodes[own]


def test_what_is_too_large_for_networkx_is_one_line_that_names_the_bound_and_the_way_out() -> None:
    count = 50
    rows = np.arange(count)
    above = np.maximum(rows - 1, 0).astype(np.int32)
    tree = Tree(rows.astype(np.uint64), above, np.full(count, -1, np.int32), rows, np.full(count, -1))
    assert len(ancestry(tree, count - 1, most=count)) == count
    for make in (
        lambda: ancestry(tree, count - 1, most=count - 1),
        lambda: neighbourhood(tree, 0, up=0, down=count, most=count - 1),
        lambda: neighbourhood(tree, 25, up=count, down=count, most=count - 1),
        lambda: graph_of(lineage_table(), most=5),
    ):
        with pytest.raises(UserError, match=r"more than (49|5) agents.*--format graphml"):
            make()
    assert len(neighbourhood(tree, 25, up=3, down=4, most=8)) == 8


@pytest.mark.parametrize("agent", [-1, 3, 2**64])
def test_an_agent_that_is_not_there_is_one_line(agent: int) -> None:
    with pytest.raises(UserError, match=f"agent {agent}: is not in this lineage; ids there are from 0 to 9"):
        ancestry(tree_of(lineage_table()), agent)
