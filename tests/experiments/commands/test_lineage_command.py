"""`arena lineage` shows who descends from whom and hands it on, at any time of a run, and from anybody's file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from small_runs import arena

from arena.schemas import LINEAGE, TABLES
from experiments.lineage import formats
from experiments.lineage.alife import read_alife
from experiments.runs.directory import RunDirectory

BORN = (
    # id, first parent, second parent, species, island, generation
    (0, None, None, "qnetwork", 0, 0),
    (1, None, None, "qnetwork", 1, 0),
    (2, None, None, "forest", 2, 0),
    (3, None, None, "forest", 3, 0),
    (4, 0, None, "qnetwork", 0, 1),
    (5, 3, 2, "forest", 3, 1),
    (6, 4, 0, "qnetwork", 0, 2),
    (7, 5, None, "forest", 3, 2),
    (8, 6, 1, "qnetwork", 1, 3),
)
DIED = ((1, 0, "culled"), (2, 0, "ruined"), (0, 1, "aged"), (3, 1, "culled"), (4, 2, "culled"))
WON = ((0, "all", 0), (0, "bull_trending", 3), (1, "bull_trending", 4), (2, "all", 6), (2, "calm_ranging", 7))
SCARRED = ((0, 0), (0, 1), (4, 1), (4, 2), (6, 2), (8, 3), (7, 2))


def rows(name: str, *given: dict[str, Any]) -> pl.DataFrame:
    """Rows of a table; what is not given is null."""
    return pl.DataFrame([{key: row.get(key) for key in TABLES[name]} for row in given], schema=TABLES[name])


def write_part(run: RunDirectory, name: str, table: pl.DataFrame, first: int, last: int) -> None:
    table.write_parquet(run.table(name) / f"{first:08d}-{last:08d}-0.parquet")


@pytest.fixture
def made(tmp_path: Path) -> RunDirectory:
    """A run of three generations, with parts of two and one."""
    run = RunDirectory(tmp_path / "runs" / "0123456789ab")
    run.create({"seed": 3, "evolution": {"islands": 4}})
    run.note(run_id="0123456789ab", state="interrupted", generations=3, target=5)
    names = ("id", "parent_id", "second_parent_id", "species", "island", "generation")
    births = rows(
        "births",
        *(
            dict(zip(names, row, strict=True))
            | {"operator": "founder" if row[1] is None else "mutation" if row[2] is None else "crossover"}
            | {"mutation_strength": None if row[1] is None else 0.25}
            for row in BORN
        ),
    )
    deaths = rows("deaths", *(dict(zip(TABLES["deaths"], row, strict=True)) for row in DIED))
    write_part(run, "births", births.filter(pl.col("generation") <= 2), 0, 1)
    write_part(run, "births", births.filter(pl.col("generation") > 2), 2, 2)
    write_part(run, "deaths", deaths.filter(pl.col("generation") < 2), 0, 1)
    write_part(run, "deaths", deaths.filter(pl.col("generation") >= 2), 2, 2)
    archive = ({"generation": g, "regime": regime, "id": own, "score": 1e-5} for g, regime, own in WON)
    write_part(run, "archive", rows("archive", *archive), 0, 2)
    write_part(run, "scars", rows("scars", *({"id": own, "generation": g} for own, g in SCARRED)), 0, 2)
    return run


def answered(*words: str) -> Any:
    """The JSON of a command that goes well."""
    code, said, complaint = arena("lineage", *words, "--json")
    assert code == 0, complaint
    return json.loads(said)


def handed(run: Path, form: str, *words: str) -> Path:
    """The file that a command writes."""
    out = run.parent / f"out.{form}"
    code, _, complaint = arena("lineage", str(run), "--format", form, "--out", str(out), *words)
    assert code == 0, complaint
    return out


def kept(run: Path, *words: str, form: str = "alife") -> list[int]:
    """Ids that are left of filters."""
    return pl.read_csv(handed(run, form, *words))["id"].to_list()


def test_it_writes_the_table_and_says_both_ways_to_look(made: RunDirectory) -> None:
    code, said, _ = arena("lineage", made.root.name, "--runs-dir", str(made.root.parent))
    assert code == 0
    table = pl.read_parquet(made.lineage)
    assert table.schema == pl.Schema(LINEAGE)
    assert table["id"].to_list() == list(range(9))
    assert table["ancestor_id"].to_list() == [0, 1, 2, 3, 0, 3, 4, 5, 6]
    assert table["destruction_time"].to_list() == [1, 0, 0, 1, 2, None, None, None, None]
    lines = said.splitlines()
    assert lines[0] == "run 0123456789ab"
    assert lines[1] == "9 agents of 4 founders in generations 0 to 3, 4 of them alive"
    assert lines[-1] == str(made.lineage)
    head = next(line for line in lines if line.startswith("metric "))
    assert head.split() == ["metric", "extinct", "out", "extinct", "in"]
    found = {line.split()[0]: line.split()[1:] for line in lines[lines.index(head) :] if line}
    assert found["agents"] == ["7", "9"]
    assert found["founders"] == ["2", "4"]
    assert found["mrca_depth"] == ["–", "–"]
    assert not list(made.root.rglob(".part-*"))
    assert [line for line in lines[:-1] if len(line) > 80] == []


def test_it_says_whom_the_living_of_each_species_descend_from(made: RunDirectory) -> None:
    said = answered(str(made.root))
    forest, network = said["replicates"][0]["coalescence"]
    assert {name: forest[name] for name in ("species", "living", "founders", "ancestor_id", "born", "lag")} == {
        "species": "forest",
        "living": 2,
        "founders": 1,
        "ancestor_id": 5,
        "born": 1,
        "lag": 2,
    }
    assert (network["ancestor_id"], network["founders"]) == (6, 1)
    lines = arena("lineage", str(made.root))[1].splitlines()
    assert "species never meet; --species forest looks at one alone" in lines
    assert any(line.startswith("  forest: 2 live, from 5 born 2 generations ago; by chance about") for line in lines)
    alone = answered(str(made.root), "--species", "qnetwork")["replicates"][0]
    assert alone["coalescence"] == [network]
    assert answered(str(made.root), "--species", "qnetwork", "--extant")["replicates"][0]["coalescence"] == []


def test_a_sweep_is_told_where_one_line_took_over(made: RunDirectory) -> None:
    born, died = [(own, None, 0) for own in range(40)], []
    for generation in range(1, 9):  # all descend from 0 at once, and by chance each from its own parent
        first = 40 * generation
        born += [(first + k, 0 if generation == 1 else first + k - 40, generation) for k in range(40)]
        died += [(first - 40 + k, generation - 1) for k in range(40)]
    for name in ("births", "deaths"):
        for path in made.table(name).iterdir():
            path.unlink()
    same = {"species": "qnetwork", "island": 0, "operator": "mutation"}
    births = ({"id": own, "parent_id": parent, "generation": g} | same for own, parent, g in born)
    write_part(made, "births", rows("births", *births), 0, 7)
    write_part(made, "deaths", rows("deaths", *({"id": own, "generation": g} for own, g in died)), 0, 7)
    (found,) = answered(str(made.root))["replicates"][0]["coalescence"]
    assert [(sweep["id"], sweep["born"], sweep["generation"]) for sweep in found["sweeps"]] == [(0, 0, 1)]
    assert (
        "    sweep of 0: born 0, half of the living by 1, all by 1" in arena("lineage", str(made.root))[1].splitlines()
    )


def test_lines_of_champions_count_what_led_to_them(made: RunDirectory) -> None:
    lines = {line["id"]: line for line in answered(str(made.root))["champions"]}
    assert lines[6] == {
        "replicate": 1,
        "id": 6,
        "holds": ["all"],
        "founder": 0,
        "species": "qnetwork",
        "born": 2,
        "depth": 2,
        "mutations": 1,
        "crossovers": 1,
        "scars": 2,  # of 0 in generation 0, before 4 was born, and of 4 in generation 1; its own came after it won
        "won": ["bull_trending", "all"],
    }
    assert lines[4]["holds"] == ["bull_trending"]
    assert lines[4]["scars"] == 1  # of 0 in generation 0; its own came after it won
    assert lines[7]["won"] == ["bull_trending", "calm_ranging"]
    assert lines[7]["crossovers"] == 1
    said = arena("lineage", str(made.root))[1].splitlines()
    row = next(line for line in said if "0 → 6" in line)
    assert row.split() == ["all", "0", "→", "6", "2", "2", "1", "1", "2", "bull", "all"]


def test_every_format_comes_back_as_the_run_is(made: RunDirectory) -> None:
    assert arena("lineage", str(made.root))[0] == 0
    table = pl.read_parquet(made.lineage)
    assert_frame_equal(read_alife(handed(made.root, "alife")).drop("taxon_label"), table)
    assert_frame_equal(read_alife(handed(made.root, "alife", "--parents", "both")).drop("taxon_label"), table)
    assert_frame_equal(pl.read_parquet(handed(made.root, "parquet")), table)
    assert handed(made.root, "newick").read_text() == "(1:0,2:0,((7:1)5:1)3:0,(((8:1)6:1)4:1)0:0);\n"
    noted = handed(made.root, "newick", "--notes", "--id", "1").read_text()
    assert noted == '1[&species="qnetwork",island=1,operator="founder",cause="culled"]:0;\n'
    graph = nx.read_graphml(handed(made.root, "graphml"), node_type=int)
    assert set(graph.edges) == {(0, 4), (3, 5), (2, 5), (4, 6), (0, 6), (5, 7), (6, 8), (1, 8)}
    assert graph.nodes[5]["species"] == "forest"
    first = nx.read_graphml(handed(made.root, "graphml", "--parents", "first"), node_type=int)
    assert set(first.edges) == {(0, 4), (3, 5), (4, 6), (5, 7), (6, 8)}


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["--extant"], [0, 3, 4, 5, 6, 7, 8]),
        (["--extant", "--parents", "both"], [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (["--species", "forest"], [2, 3, 5, 7]),
        (["--generations", "1-2", "--species", "forest"], [3, 5, 7]),
        (["--generations", "1"], [0, 3, 4, 5]),
        (["--generations", "3-"], [0, 4, 6, 8]),
        (["--champions"], [0, 3, 4, 5, 6, 7]),
        (["--champions", "bull_trending"], [0, 4]),
        (["--champions", "--extant"], [0, 3, 4, 5, 6, 7]),
        (["--champions", "--extant", "--species", "qnetwork"], [0, 4, 6]),
        (["--id", "5"], [3, 5]),
        (["--id", "5", "--parents", "both"], [2, 3, 5]),
        (["--id", "6", "--champions", "all"], [0, 4, 6]),
        (["--replicate", "1"], list(range(9))),
    ],
)
def test_filters_leave_those_whom_all_mean_and_their_ancestors(
    words: list[str], left: list[int], made: RunDirectory
) -> None:
    assert kept(made.root, *words) == left
    said = answered(str(made.root), *words)
    assert (said["agents"], said["of"]) == (len(left), 9)
    assert {line["id"] for line in said["champions"]} == {4, 6, 7} & set(left)
    assert pl.read_parquet(made.lineage).height == 9


def test_a_second_parent_that_is_left_out_is_no_edge_and_stays_named(made: RunDirectory) -> None:
    words = ("--id", "5", "--parents", "first")
    assert set(nx.read_graphml(handed(made.root, "graphml", *words), node_type=int).edges) == {(3, 5)}
    assert read_alife(handed(made.root, "alife", *words))["second_parent_id"].to_list() == [None, 2]


def test_a_table_that_is_ahead_of_the_other_loses_its_last_generations(made: RunDirectory) -> None:
    (made.table("deaths") / "00000002-00000002-0.parquet").rename(made.root / "kept")
    assert arena("lineage", str(made.root))[0] == 0
    early = pl.read_parquet(made.lineage)
    assert early["id"].to_list() == list(range(8))
    assert early["destruction_time"].to_list() == [1, 0, 0, 1, None, None, None, None]
    (made.root / "kept").rename(made.table("deaths") / "00000002-00000002-0.parquet")
    (made.table("births") / "00000002-00000002-0.parquet").unlink()
    assert arena("lineage", str(made.root))[0] == 0
    assert_frame_equal(pl.read_parquet(made.lineage), early)


def test_replicates_are_looked_at_apart(made: RunDirectory) -> None:
    made.config.write_text("evolution: {islands: 2, replicates: 2}\n")
    said = answered(str(made.root))
    assert [part["replicate"] for part in said["replicates"]] == [1, 2]
    assert [part["metrics"][1]["agents"] for part in said["replicates"]] == [5, 4]
    assert {line["id"]: line["replicate"] for line in said["champions"]} == {3: 2, 4: 1, 6: 1, 7: 2}
    assert kept(made.root, "--replicate", "2") == [2, 3, 5, 7]
    assert kept(made.root, "--replicate", "2", "--champions") == [3, 5, 7]
    shown = arena("lineage", str(made.root))[1]
    assert "replicate 1: metrics, with extinct lines left out and with them in" in shown
    assert "replicate 2: " in shown


def test_a_file_of_the_standard_is_shown_and_handed_on_as_a_run_is(made: RunDirectory, tmp_path: Path) -> None:
    table = handed(made.root, "alife").rename(tmp_path / "theirs.csv")
    run, file = answered(str(made.root)), answered(str(table))
    assert file["replicates"][0]["metrics"] == run["replicates"][0]["metrics"]
    assert (file["lineage"], file["champions"]) == (None, [])
    for form in ("newick", "graphml", "parquet"):
        wanted = handed(made.root, form).read_bytes()
        assert handed(table, form).read_bytes() == wanted or form == "graphml"
    assert kept(table, "--extant", "--species", "forest") == [3, 5, 7]
    bare = tmp_path / "bare.csv"
    bare.write_text("id,ancestor_list,taxon_label\n2,[1],it's\n1,[none],a_b\n", encoding="utf-8")
    code, said, _ = arena("lineage", str(bare))
    assert code == 0
    assert said.splitlines()[0] == str(bare)
    assert said.splitlines()[1].startswith("origin_time is missing: ")
    assert [note.split()[0] for note in answered(str(bare))["notes"]] == ["origin_time", "destruction_time"]
    assert handed(bare, "newick").read_text() == "('it''s':1)'a_b':0;\n"


def test_a_file_is_replaced_by_one_of_its_kind_alone(made: RunDirectory) -> None:
    forms = ("alife", "newick", "graphml", "parquet")
    outs = {form: handed(made.root, form) for form in forms}
    for form in forms:
        handed(made.root, form, "--extant")
        for other in set(forms) - {form}:
            before = outs[other].read_bytes()
            code, _, complaint = arena("lineage", str(made.root), "--format", form, "--out", str(outs[other]))
            assert code == 2
            assert "is there and no" in complaint
            assert outs[other].read_bytes() == before
    outs["newick"].write_bytes(b"")
    handed(made.root, "newick")


def test_a_write_that_fails_leaves_what_was_there(made: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    out = handed(made.root, "newick")
    before = out.read_bytes()

    def fail(*given: Any) -> None:
        given[2].write_bytes(b"((1:")
        raise OSError(28, "No space left on device")

    broken = formats.FORMATS["newick"]._replace(write=fail)
    monkeypatch.setattr(formats, "FORMATS", {**formats.FORMATS, "newick": broken})
    code, _, complaint = arena("lineage", str(made.root), "--format", "newick", "--out", str(out))
    assert (code, complaint) == (2, f"arena: {out}: cannot be written (No space left on device)\n")
    assert out.read_bytes() == before
    assert sorted(path.name for path in out.parent.iterdir()) == ["0123456789ab", "out.newick"]


MISTAKES: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "format alone": (lambda run: [str(run), "--format", "newick"], "--format: needs --out FILE too"),
    "out alone": (lambda run: [str(run), "--out", "x"], "--out: needs --format alife"),
    "unknown format": (lambda run: [str(run), "--format", "nexus", "--out", "x"], "invalid choice: 'nexus'"),
    "no such run": (
        lambda run: ["nobody", "--runs-dir", str(run / "none")],
        "nobody: no such file and no such run; there are none in ",
    ),
    "newick of both": (lambda run: [str(run), *_out(run, "newick"), "--parents", "both"], "--parents: a Newick tree"),
    "notes elsewhere": (lambda run: [str(run), *_out(run, "graphml"), "--notes"], "--notes: is for --format newick"),
    "no such agent": (
        lambda run: [str(run), "--id", "77"],
        "agent 77: is not in this lineage; ids there are from 0 to 8",
    ),
    "no such species": (lambda run: [str(run), "--species", "fish"], "'fish' is no species of this lineage"),
    "no generations": (lambda run: [str(run), "--generations", "9-2"], "--generations: '9-2' ends before it begins"),
    "nobody left": (lambda run: [str(run), "--extant", "--generations", "0"], "nobody is left of those filters"),
    "no champion": (lambda run: [str(run), "--champions", "bear_trending"], "bear_trending has no champion in"),
    "no regime": (lambda run: [str(run), "--champions", "sideways"], "'sideways' is no regime"),
    "run as a regime": (
        lambda run: ["--champions", str(run)],
        "is no regime; put SOURCE before it, or name one of bull_trending, ",
    ),
    "no replicate": (lambda run: [str(run), "--replicate", "2"], "--replicate: 2 of a run that has 1; right is 1"),
    "out is a folder": (lambda run: [str(run), "--format", "alife", "--out", str(run)], "is a folder; right is"),
    "no folder": (lambda run: [str(run), "--format", "alife", "--out", str(run / "a" / "b")], "there is no folder"),
    "among parts": (
        lambda run: [str(run), "--format", "parquet", "--out", str(run / "births.parquet" / "x.parquet")],
        "is among what the run wrote",
    ),
    "configuration": (lambda run: [str(run), "--format", "newick", "--out", str(run / "config.yaml")], "no Newick"),
    "a part as the whole": (
        lambda run: [str(run), "--extant", "--format", "parquet", "--out", str(run / "lineage.parquet")],
        "holds the whole lineage of the run",
    ),
    "champions of a file": (
        lambda run: [str(run / "config.yaml"), "--champions"],
        "is a file and no run; leave it out",
    ),
    "no file of the kind": (lambda run: [str(run / "config.yaml")], "right is a table of the ALife data standard"),
}


def _out(run: Path, form: str) -> list[str]:
    return ["--format", form, "--out", str(run.parent / "new")]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_nothing_is_written(mistake: str, made: RunDirectory) -> None:
    words, complaint = MISTAKES[mistake]
    before = {path: path.read_bytes() for path in made.root.parent.rglob("*") if path.is_file()}
    code, said, complained = arena("lineage", *words(made.root))
    assert (code, said) == (2, "")
    assert complained.count("\n") == 1
    assert complaint in complained
    assert {path: path.read_bytes() for path in made.root.parent.rglob("*") if path.is_file()} == before


def test_a_run_without_anybody_or_without_deaths_is_one_line(made: RunDirectory) -> None:
    for path in made.table("deaths").iterdir():
        path.unlink()
    code, _, complaint = arena("lineage", str(made.root))
    assert code == 2
    assert "it is empty, but agents were born up to generation 3" in complaint
    for path in made.table("births").iterdir():
        path.unlink()
    code, _, complaint = arena("lineage", str(made.root))
    assert code == 2
    assert f"{made.table('births')}: damaged (it is empty, but the run has done 3 generations); " in complaint
    made.note(generations=0)
    code, _, complaint = arena("lineage", str(made.root))
    assert code == 2
    assert "nobody is on record yet" in complaint
    assert not made.lineage.exists()


LOSSES: dict[str, tuple[str, str]] = {
    "configuration": ("config.yaml", "shown as one replicate: "),
    "archive": ("archive.parquet", "shown without champions: "),
    "scars": ("scars.parquet", "shown without scars: "),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_births_and_deaths_are_enough_and_what_else_is_lost_is_said(loss: str, made: RunDirectory) -> None:
    before = answered(str(made.root))
    name, note = LOSSES[loss]
    path = made.root / name
    if path.is_dir():
        next(path.iterdir()).write_bytes(b"torn")
    else:
        path.unlink()
    found = answered(str(made.root))
    assert found["notes"][0].startswith(f"{note}{path}")
    assert found["replicates"] == before["replicates"]
    if loss == "scars":
        assert found["champions"] == [{**line, "scars": None} for line in before["champions"]] != []
    else:
        assert found["champions"] == []
    code, said, _ = arena("lineage", str(made.root))
    assert code == 0
    assert note in said


@pytest.mark.parametrize(("name", "why"), [("births", "agent 0 is there twice"), ("deaths", "agent 0 dies twice")])
def test_a_row_that_is_there_twice_is_one_line_that_names_the_run(made: RunDirectory, name: str, why: str) -> None:
    path = min(made.table(name).iterdir())
    table = pl.read_parquet(path)
    pl.concat([table, table.filter(pl.col("id") == 0)]).write_parquet(path)
    code, said, complaint = arena("lineage", str(made.root))
    assert (code, said, complaint.count("\n")) == (2, "", 1)
    assert f"{made.table(name)}: damaged ({why}" in complaint
    assert not made.lineage.exists()


def test_a_run_without_champions_says_so_where_they_are_asked_for(made: RunDirectory) -> None:
    for path in made.table("archive").iterdir():
        path.unlink()
    assert answered(str(made.root))["champions"] == []
    code, _, complaint = arena("lineage", str(made.root), "--champions")
    assert code == 2
    assert f"--champions: {made.root} has no champions" in complaint
