"""Newick: what is written is the tree, by a reader that shares nothing with the writer."""

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from lineage_samples import lineage_table, random_lineage

from experiments.lineage import newick
from experiments.lineage.newick import write_newick
from experiments.lineage.tree import Tree, tree_of

TOKEN = re.compile(r"\(|\)|,|;|:\d+|\[[^\]]*\]|'(?:[^']|'')*'|[^\s()\[\]':;,]+")


def parsed(text: str) -> list[tuple[str, int | None, int, str]]:
    """Nodes of the one tree of a text, parents first: label, place of the parent, length, note."""
    tokens = TOKEN.findall(text)
    assert "".join(tokens) == text.strip("\n")
    assert tokens[-1] == ";"
    assert tokens.count(";") == 1
    nodes: list[list[str | int | None]] = [["", None, 0, ""]]
    at = 0
    for token in tokens:
        if token in "(,":
            parent = at if token == "(" else nodes[at][1]
            assert isinstance(parent, int)
            nodes.append(["", parent, 0, ""])
            at = len(nodes) - 1
        elif token == ")":
            above = nodes[at][1]
            assert isinstance(above, int)
            at = above
        elif token[0] == ":":
            nodes[at][2] = int(token[1:])
        elif token[0] == "[":
            nodes[at][3] = token
        elif token != ";":
            nodes[at][0] = token[1:-1].replace("''", "'") if token[0] == "'" else token
    assert at == 0
    return [(str(label), above, int(length or 0), str(note)) for label, above, length, note in nodes]


def written(tree: Tree, tmp_path: Path, **options: object) -> str:
    path = tmp_path / "tree.nwk"
    write_newick(tree, path, **options)
    return path.read_text(encoding="utf-8")


def test_a_small_tree_reads_as_one_expects(tmp_path: Path) -> None:
    table = lineage_table()
    one = table.filter(~pl.col("id").is_in([1, 9]))
    assert written(tree_of(one), tmp_path) == "(4:1,(7:1)5:2)0:0;\n"
    assert written(tree_of(table), tmp_path) == "((9:4)1:0,(4:1,(7:1)5:2)0:0);\n"


@pytest.mark.parametrize("founders", [1, 3])
def test_every_node_hangs_on_its_first_parent_by_the_generations_between(
    founders: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newick, "_ROWS", 16)
    for seed in range(8):
        tree = tree_of(random_lineage(50, seed, founders=founders))
        nodes = parsed(written(tree, tmp_path))
        several = int(tree.is_root.sum()) > 1
        assert len(nodes) == len(tree) + several
        above = {label: nodes[parent][0] if parent is not None else "" for label, parent, _, _ in nodes[several:]}
        lengths = {label: length for label, _, length, _ in nodes[several:]}
        for row, own in enumerate(tree.id):
            first = tree.parent[row]
            assert above[str(own)] == ("" if first == row else str(tree.id[first]))
            start = tree.born.min() if first == row else tree.born[first]
            assert lengths[str(own)] == tree.born[row] - start
        if several:
            assert nodes[0] == ("", None, 0, "")


def test_lone_founders_born_at_different_times_hang_on_the_oldest_time(tmp_path: Path) -> None:
    rows = np.arange(3)
    born = np.array([2, 5, 9])
    tree = Tree(rows.astype(np.uint64), rows.astype(np.int32), np.full(3, -1, np.int32), born, born)
    assert written(tree, tmp_path) == "(0:0,1:3,2:7);\n"
    one = Tree(tree.id[:1], tree.parent[:1], tree.second[:1], born[:1], born[:1])
    assert written(one, tmp_path) == "0:0;\n"


def test_labels_that_are_not_plain_are_quoted_and_come_back(tmp_path: Path) -> None:
    names = ["a b", "it's", "under_score", "x(1):2,[3];", "plain-1.5", None]
    tree = tree_of(lineage_table())
    text = written(tree, tmp_path, labels=pl.Series(names))
    assert {label for label, *_ in parsed(text)} == {"", *(name or "9" for name in names)}
    assert "'it''s'" in text
    assert "'under_score'" in text
    assert "plain-1.5:" in text
    torn = written(tree, tmp_path, labels=pl.Series(["two\nlines", *names[1:]]))
    assert torn.count("\n") == 1


def test_notes_are_comments_that_end_where_they_should(tmp_path: Path) -> None:
    table = lineage_table()
    notes = table.select(pl.col("species") + pl.Series(['"],', "", "", "", "", ""]), "island", "cause")
    found = {label: note for label, _, _, note in parsed(written(tree_of(table), tmp_path, notes=notes))}
    assert found["0"] == '[&species="qnetwork___",island=0,cause="culled"]'
    assert found["1"] == '[&species="forest",island=1]'
    empty = written(tree_of(table), tmp_path, notes=notes.select(pl.col("cause").replace("culled", None)).head(6))
    assert "[&]" not in empty
    assert empty.count("[&") == 2


def test_a_line_of_a_hundred_thousand_generations(tmp_path: Path) -> None:
    count = 100_000
    rows = np.arange(count)
    above = np.maximum(rows - 1, 0).astype(np.int32)
    tree = Tree(rows.astype(np.uint64), above, np.full(count, -1, np.int32), rows, np.where(rows < count - 1, rows, -1))
    text = written(tree, tmp_path)
    assert text.startswith("(" * (count - 1) + f"{count - 1}:1)")
    assert text.endswith(")1:1)0:0;\n")
    nodes = parsed(text)
    assert [label for label, *_ in nodes] == [str(own) for own in range(count)]
