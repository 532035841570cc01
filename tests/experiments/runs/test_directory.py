"""Files are whole or absent, tables are read in order, and a run is found by what a user calls it."""

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.schemas import LATER, TABLES
from experiments.runs.directory import RunDirectory, find_run
from experiments.runs.files import TEMPORARY, write_json, write_whole
from experiments.runs.recording import forget_from
from experiments.runs.trees import generation_of, load_tree, save_tree
from markets.errors import UserError


class Tree(NamedTuple):
    scalar: np.ndarray
    parts: tuple[np.ndarray, dict[str, np.ndarray]]


TREE = Tree(np.array(3, np.int32), (np.arange(6, dtype=np.float32).reshape(2, 3).T, {"flag": np.array([True, False])}))


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": "é"})

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        write_whole(path, fail)
    assert path.read_text(encoding="utf-8") == '{\n  "a": "é"\n}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_never_shows_half_a_file(tmp_path: Path) -> None:
    path, scratch = tmp_path / "table" / "a", tmp_path / "scratch"
    path.parent.mkdir()
    scratch.mkdir()

    def write(temporary: Path) -> None:
        temporary.write_text("whole")
        assert temporary.parent == scratch
        assert list(path.parent.iterdir()) == []

    write_whole(path, write, scratch=scratch)
    assert path.read_text() == "whole"
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "told"),
    [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EBADF, False), (errno.EIO, True), (errno.ENOSPC, True)],
)
def test_a_folder_that_knows_no_flush_is_no_trouble_but_one_that_fails_is(
    number: int, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_sync = os.fsync

    def sync(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, os.strerror(number))
        true_sync(handle)

    monkeypatch.setattr(os, "fsync", sync)
    with pytest.raises(OSError, match=r"a\.json") if told else contextlib.nullcontext():
        write_json(tmp_path / "a.json", {"a": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_tree_comes_back_as_it_was_scalars_and_layout_included(tmp_path: Path) -> None:
    path = tmp_path / "tree.safetensors"
    save_tree(path, TREE, {"generation": "4"})
    found, about = load_tree(path, TREE)
    assert about == {"generation": "4"}
    assert generation_of(path) == 4
    assert found.scalar.shape == ()
    assert found.scalar == 3
    np.testing.assert_array_equal(found.parts[0], TREE.parts[0])
    np.testing.assert_array_equal(found.parts[1]["flag"], TREE.parts[1]["flag"])


@pytest.mark.parametrize(
    ("like", "says"),
    [
        (TREE._replace(scalar=np.zeros(1, np.int32)), r"scalar is int32\[\], expected int32\[1\]"),
        (TREE._replace(scalar=np.zeros((), np.uint32)), r"scalar is int32\[\], expected uint32\[\]"),
        (TREE._replace(parts=(TREE.parts[0], {})), r"holds parts\.1\.flag, which this run does not know"),
        (TREE._replace(parts=(TREE.parts[0], {"other": TREE.scalar})), r"parts\.1\.other is missing"),
    ],
)
def test_a_tree_of_another_form_is_refused(like: Tree, says: str, tmp_path: Path) -> None:
    path = tmp_path / "tree.safetensors"
    save_tree(path, TREE, {})
    with pytest.raises(UserError, match=says):
        load_tree(path, like)
    with pytest.raises(UserError, match="cannot be read"):
        generation_of(path)


@given(data=st.data())
def test_a_bit_that_fell_over_anywhere_in_a_tree_is_found(data: st.DataObject, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("tree") / "tree.safetensors"
    save_tree(path, TREE, {"generation": "4"})
    content = bytearray(path.read_bytes())
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"; delete it$"):
        load_tree(path, TREE, remedy="delete it")


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    made = RunDirectory(tmp_path / "runs" / "abc")
    made.create({"seed": 1, "name": "é", "path": ("a", "b")})
    return made


def test_a_new_run_has_its_folders_and_its_configuration(run: RunDirectory) -> None:
    assert run.read_config() == {"seed": 1, "name": "é", "path": ["a", "b"]}
    assert run.read_manifest() == {}
    assert {path.name for path in run.root.iterdir()} == {
        "config.yaml",
        "genomes",
        "checkpoints",
        *(f"{name}.parquet" for name in TABLES),
    }
    run.note(state="running", generations=1)
    run.note(generations=2)
    assert run.read_manifest() == {"state": "running", "generations": 2}


def test_parts_are_read_in_order_and_those_of_later_generations_forgotten(run: RunDirectory) -> None:
    for first, last in ((2, 9), (0, 1), (10, 10)):
        part = pl.DataFrame({"id": [first], "generation": [last], "cause": ["aged"]}, schema=TABLES["deaths"])
        part.write_parquet(run.table("deaths") / f"{first:08d}-{last:08d}-0.parquet")
    (run.table("deaths") / f"{TEMPORARY}1-x.parquet").write_bytes(b"PAR1")
    for identity, generation in (("3", 1), ("3-10", 10), ("4", 10)):
        save_tree(run.genomes / f"{identity}.safetensors", TREE, {"generation": str(generation)})
    assert run.read("deaths")["id"].to_list() == [0, 2, 10]
    assert run.read("births").schema == pl.Schema(TABLES["births"])
    run.clear_leftovers()
    forget_from(run, 10)
    assert run.read("deaths")["id"].to_list() == [0, 2]
    assert len(list(run.table("deaths").iterdir())) == 2
    assert [path.name for path in run.genomes.iterdir()] == ["3.safetensors"]
    forget_from(run, 0)
    assert run.read("deaths").height == 0


def test_a_run_is_found_by_its_folder_or_its_id(run: RunDirectory) -> None:
    assert find_run(str(run.root)).root == run.root
    assert find_run("abc", str(run.root.parent)).root == run.root
    with pytest.raises(UserError, match="abd: no such run; there are: abc"):
        find_run("abd", str(run.root.parent))


@pytest.mark.parametrize("name", LATER)
def test_a_part_of_an_older_run_lacks_later_columns_and_reads_as_null(tmp_path: Path, name: str) -> None:
    run = RunDirectory(tmp_path)
    run.create({})
    new = pl.DataFrame({key: pl.Series([1]).cast(kind) for key, kind in TABLES[name].items()})
    new.drop(LATER[name]).write_parquet(run.table(name) / "00000000-00000000-0.parquet")
    new.write_parquet(run.table(name) / "00000001-00000001-0.parquet")
    found = run.read(name)
    assert found.schema == TABLES[name]
    for key in TABLES[name]:
        assert found[key].is_null().to_list() == [key in LATER[name], False]
    new.drop(LATER[name][0]).write_parquet(run.table(name) / "00000002-00000002-0.parquet")
    with pytest.raises(UserError, match=f"its columns are not those of {name}"):
        run.read(name)
