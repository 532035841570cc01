"""A report on a run that is at work, killed or damaged: all that can be read is in it, the rest is said."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from arena.schemas import TABLES
from experiments.report.facts.sources import NEEDS, Sources
from experiments.report.report import report_facts
from experiments.runs.directory import RunDirectory
from experiments.runs.lock import only_one

UNTRADED = {"journeys", "benchmarks"}
"""What a report from records alone always lacks."""

PARTS = ("curves", "clades", "tree", "heat", "standings")


@pytest.fixture
def run(small_run: Path, tmp_path: Path) -> RunDirectory:
    """A copy of the small run, its generations in parts of two."""
    copy = RunDirectory(tmp_path / "run")
    shutil.copytree(small_run, copy.root)
    for name in TABLES:
        table = copy.read(name)
        for path in copy.table(name).iterdir():
            path.unlink()
        for first in (0, 2, 4):
            born = name == "births"  # children belong to the turn-over before
            among = pl.col("generation").cast(pl.Int64) - (born & (pl.col("generation") > 0)).cast(pl.Int64)
            table.filter(among.is_between(first, first + 1)).write_parquet(part(copy, name, first))
    return copy


def part(run: RunDirectory, name: str, first: int) -> Path:
    return run.table(name) / f"{first:08d}-{first + 1:08d}-0.parquet"


def facts_of(run: RunDirectory) -> dict[str, Any]:
    return report_facts(run, only_records=True)[0]


def whys(facts: dict[str, Any], what: str) -> dict[str, str]:
    """Sentences on a file, by the part of the report that lacks it."""
    return {entry["part"]: entry["why"] for entry in facts["missing"] if entry["what"] == what}


def test_parts_of_any_length_are_one_run(run: RunDirectory, small_run: Path) -> None:
    found, whole = facts_of(run), facts_of(RunDirectory(small_run))
    assert found == whole


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_is_gone_is_said_where_it_is_missed(run: RunDirectory, name: str) -> None:
    before = facts_of(run)
    shutil.rmtree(run.table(name))
    found = facts_of(run)
    said = whys(found, f"{name}.parquet")
    assert set(said) == {needing for needing, tables in NEEDS.items() if name in tables}
    assert all(why.startswith(f"The table {name} is not there.") for why in said.values())
    assert ("shown as living" in said.get("tree", "")) == (name == "deaths")
    lost = {"births": {"clades", "tree", "heat"}, "fitness": {"heat"}, "archive": {"standings"}}.get(name, set())
    assert {kept for kept in PARTS if found[kept] is None} == lost
    if name in ("scars", "timings"):
        assert found["tree"]["fitness"] == before["tree"]["fitness"]
        assert found["heat"] == before["heat"]


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("damage", ["torn", "foreign", "other generations", "gone"])
def test_a_part_that_is_no_good_is_left_out_and_said(run: RunDirectory, name: str, damage: str) -> None:
    path = part(run, name, 2)
    table = pl.read_parquet(path)
    spoil: dict[str, Callable[[], object]] = {
        "torn": lambda: path.write_bytes(path.read_bytes()[:-30] + b"torn"),
        "foreign": lambda: table.rename({"generation": "time_of_day"}).write_parquet(path),
        "other generations": lambda: table.with_columns(pl.col("generation") + 4).write_parquet(path),
        "gone": path.unlink,
    }
    empty = not table.height
    spoil[damage]()
    found = facts_of(run)
    if damage == "other generations" and empty:
        return
    what = f"{name}.parquet" if damage == "gone" else f"{name}.parquet/{path.name}"
    said = whys(found, what)
    assert set(said) == {needing for needing, tables in NEEDS.items() if name in tables}
    wanted = {
        "torn": f"A part cannot be read; generations 2 to 3 of the table {name} are left out: ",
        "foreign": "A part cannot be read; generations 2 to 3 of the table "
        f"{name} are left out: its columns are not those of {name}.",
        "other generations": f"A part cannot be read; generations 2 to 3 of the table {name} are left out: it holds ",
        "gone": f"The part of the table {name} with generations 2 to 3 is not there.",
    }[damage]
    assert all(why.startswith(wanted) for why in said.values()), said
    assert all(found[kept] is not None for kept in PARTS)
    others = {entry["what"] for entry in found["missing"] if entry["what"].partition("/")[0] != f"{name}.parquet"}
    assert others <= {"parents", *UNTRADED}
    if name == "timings":
        assert found["curves"]["speed"][2:4] == [None, None]
    if name == "deaths":
        deaths = [line["values"] for line in found["curves"]["deaths"]]
        assert all(line[2:4] == [None, None] and None not in line[:2] for line in deaths)


def test_children_of_lost_parents_are_shown_as_founders_and_it_is_said(run: RunDirectory) -> None:
    births = run.read("births")
    part(run, "births", 2).unlink()
    left = run.read("births")
    orphans = left.filter(pl.col("parent_id").is_not_null() & ~pl.col("parent_id").is_in(left["id"].implode())).height
    assert orphans
    found = facts_of(run)
    assert found["tree"]["rows"] == left.height < births.height
    assert "shown as founders" in whys(found, "parents")["tree"]


def test_a_run_at_work_is_read_up_to_what_all_tables_have(run: RunDirectory) -> None:
    run.note(state="running", generations=0, finished=None, target=12)
    shutil.rmtree(run.checkpoints)
    for name in ("timings", "archive"):  # written last
        part(run, name, 4).unlink()
    with only_one(run.root):
        found = facts_of(run)
    assert found["run"]["state"] == "running"
    assert found["run"]["done"] == 4
    assert found["curves"]["generations"] == [0, 1, 2, 3]
    assert found["notes"][0] == "The run is still in progress: 4 of 12 generations."
    assert {entry["what"] for entry in found["missing"]} == UNTRADED
    assert found["tree"]["last"] == 4


@pytest.mark.parametrize("known", ["manifest", "checkpoint", "parts"])
def test_a_killed_run_that_lost_its_last_parts_says_so(run: RunDirectory, known: str) -> None:
    run.note(state="running", finished=None, target=12, generations=6 if known == "manifest" else 0)
    if known != "checkpoint":
        shutil.rmtree(run.checkpoints)
    for first in (2, 4):
        part(run, "fitness", first).unlink()
    found = facts_of(run)
    assert found["run"]["state"] == "interrupted"
    assert found["run"]["done"] == (4 if known == "parts" else 6)  # the last may not have been written
    last = found["run"]["done"] - 1
    said = whys(found, "fitness.parquet")
    assert set(said) == {needing for needing, tables in NEEDS.items() if "fitness" in tables}
    assert set(said.values()) == {f"The part of the table fitness with generations 2 to {last} is not there."}


def test_a_run_at_its_first_parts_lacks_nothing(run: RunDirectory) -> None:
    run.note(state="running", generations=0, finished=None)
    shutil.rmtree(run.checkpoints)
    for name in TABLES:
        for first in (0, 2, 4) if name not in ("births", "deaths") else (2, 4):
            part(run, name, first).unlink()
    with only_one(run.root):
        found = facts_of(run)
    assert found["run"]["done"] == 0
    assert not any("is not there" in entry["why"] for entry in found["missing"])


@pytest.mark.parametrize("state", ["finished", "interrupted"])
def test_a_run_whose_tables_are_all_gone_says_that_and_how_far_it_came(run: RunDirectory, state: str) -> None:
    run.note(state=state)
    for name in TABLES:
        shutil.rmtree(run.table(name))
    found = facts_of(run)
    assert all(found[kept] is None for kept in PARTS)
    assert [found["run"][key] for key in ("done", "born", "died", "scars")] == [6, None, None, None]
    assert whys(found, "births.parquet")["tree"] == "The table births is not there."
    assert not any("yet" in entry["why"] for entry in found["missing"])


def test_a_killed_run_says_so(run: RunDirectory) -> None:
    run.note(state="running", finished=None, target=12)
    found = facts_of(run)
    assert found["run"]["state"] == "interrupted"
    assert found["notes"][0] == "The run was interrupted after 6 of 12 generations; arena resume goes on with it."


def test_a_run_with_nothing_on_record_has_a_report_that_says_so(run: RunDirectory) -> None:
    for name in TABLES:
        shutil.rmtree(run.table(name))
    shutil.rmtree(run.checkpoints)
    run.note(state="running", generations=0, finished=None)
    found = facts_of(run)
    assert all(found[kept] is None for kept in PARTS)
    assert {entry["part"] for entry in found["missing"]} >= set(PARTS)
    assert found["run"]["done"] == found["run"]["born"] == 0


def test_a_run_without_champions_has_everything_else(run: RunDirectory) -> None:
    for path in run.table("archive").iterdir():
        pl.read_parquet(path).clear().write_parquet(path)
    found = facts_of(run)
    assert found["standings"] is None
    assert found["tree"]["champions"] == []
    assert found["curves"]["archive"] == []
    assert any(entry["part"] == "standings" and "no champion" in entry["why"] for entry in found["missing"])


@pytest.mark.parametrize("name", ["config.yaml", "manifest.json"])
@pytest.mark.parametrize("damage", ["gone", "torn"])
def test_a_small_file_that_is_lost_takes_little_with_it(run: RunDirectory, name: str, damage: str) -> None:
    path = run.root / name
    path.unlink() if damage == "gone" else path.write_text("{ torn", encoding="utf-8")
    found = facts_of(run)
    assert all(found[kept] is not None for kept in PARTS)
    assert len(whys(found, name)) >= 1
    assert str(run.root) not in str(found["missing"])


def test_births_that_fit_no_deaths_make_no_tree_but_curves(run: RunDirectory) -> None:
    path = part(run, "deaths", 0)
    late = run.read("births").filter(pl.col("generation") == 6)["id"][0]
    deaths = pl.read_parquet(path)
    pl.concat([deaths, deaths[:1].with_columns(id=pl.lit(late, pl.UInt64))]).write_parquet(path)
    found = facts_of(run)
    assert found["tree"] is None
    assert found["curves"] is not None
    assert "do not fit together" in whys(found, "births.parquet")["tree"]


@pytest.mark.parametrize("name", ["births", "deaths"])
def test_a_row_that_is_there_twice_makes_no_tree_but_curves(run: RunDirectory, name: str) -> None:
    path = part(run, name, 0)
    table = pl.read_parquet(path)
    pl.concat([table, table[:1]]).write_parquet(path)
    found = facts_of(run)
    assert found["tree"] is None
    assert found["curves"] is not None
    assert "twice" in whys(found, "births.parquet")["tree"]


def test_what_is_no_part_is_passed_over(run: RunDirectory) -> None:
    (run.table("scars") / "notes.parquet").write_text("x", encoding="utf-8")
    (run.table("scars") / ".part-1-00000000-00000001-0.parquet").write_text("x", encoding="utf-8")
    sources = Sources.of(run)
    assert [what for what, _ in sources.problems["scars"]] == ["scars.parquet/notes.parquet"]
    assert len(sources.parts["scars"]) == 3


def test_whose_fitness_was_kept_is_said(run: RunDirectory) -> None:
    text = run.config.read_text(encoding="utf-8")
    run.config.write_text(text.replace("fitness: all", "fitness: births"), encoding="utf-8")
    found = facts_of(run)
    assert any("record.fitness=births" in note for note in found["notes"])
    table = run.read("generations")
    for line in found["curves"]["fitness"]:
        own = table.filter(pl.col("species") == found["species"][line["species"]])
        for generation in range(6) if line["regime"] == 4 else ():  # those of everybody come from elsewhere then
            rows = own.filter(pl.col("generation") == generation)
            assert line["best"][generation] == pytest.approx(1e4 * rows["best"].max(), abs=1e-3)
            assert line["median"][generation] == pytest.approx(1e4 * rows["median"].median(), abs=1e-3)
