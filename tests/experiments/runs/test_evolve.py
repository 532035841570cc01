"""One run leaves the directory it should, with tables that agree with each other; equal studies leave equal ones."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import plainly
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from safetensors import safe_open
from safetensors.numpy import load_file
from small_runs import RECORDED, SMALL, arena, assert_same, evolve, without_compiling_again, without_table

from arena.schemas import LINEAGE, REGIME_NAMES, TABLES
from experiments.runs.directory import RunDirectory

DOCS = Path(__file__).resolve().parents[3] / "docs"
GENERATIONS, AGENTS, ISLANDS = 6, 16, 2

DESIGNED = {
    "births": "id, parent_id, second_parent_id, species, island, generation, operator, mutation_strength",
    "deaths": "id, generation, cause",
    "fitness": "generation, id, fold, split, regime, episodes, bars, log_return, sharpe, sortino, max_drawdown, "
    "win_rate, profit_factor, trades, trust",
    "scars": "id, generation, episode, time, regime, cause, severity, units",
    "archive": "generation, fold, regime, id, score, previous_id, previous_score",
}
"""Columns that are promised by name and order."""

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("plainly_compiled", "cache")]


@pytest.fixture(scope="module")
def told(
    cache: Path, program: list[jax.stages.Compiled], tmp_path_factory: pytest.TempPathFactory
) -> tuple[RunDirectory, str]:
    with pytest.MonkeyPatch.context() as patch:
        without_compiling_again(patch, program)
        return evolve(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def run(told: tuple[RunDirectory, str]) -> RunDirectory:
    return told[0]


def test_the_directory_holds_what_it_should_and_nothing_else(run: RunDirectory) -> None:
    assert re.fullmatch(r"[0-9a-f]{12}", run.root.name)
    assert {path.name for path in run.root.iterdir()} == {
        "config.yaml",
        "manifest.json",
        "lineage.parquet",
        "genomes",
        "checkpoints",
        *(f"{name}.parquet" for name in TABLES),
    }
    for name in TABLES:
        assert [path.name for path in run.table(name).iterdir()] == ["00000000-00000005-0.parquet"]
    assert [path.name for path in run.checkpoints.iterdir()] == ["00000006.safetensors"]
    manifest = run.read_manifest()
    assert manifest["run_id"] == run.root.name
    assert (manifest["state"], manifest["generations"], manifest["target"], manifest["seed"]) == ("finished", 6, 6, 0)
    assert manifest["device"]["count"] == 1
    assert manifest["started"] <= manifest["finished"]
    assert [session["generation"] for session in manifest["sessions"]] == [0]


def test_schemas_are_those_promised(run: RunDirectory) -> None:
    for name, columns in DESIGNED.items():
        assert list(TABLES[name]) == columns.split(", ")
    for name, schema in TABLES.items():
        found = run.read(name)
        assert found.schema == pl.Schema(schema), name
        assert found.height > 0, f"{name} is empty, so nothing below is tested on it"
    lineage = pl.read_parquet(run.lineage)
    assert lineage.schema == pl.Schema(LINEAGE)
    promised = "id, ancestor_id, second_parent_id, origin_time, destruction_time, species, island, operator, depth"
    assert lineage.columns[:9] == promised.split(", ")


def test_births_are_dense_and_parents_are_older(run: RunDirectory) -> None:
    births = run.read("births")
    assert births["id"].sort().to_list() == list(range(births.height))
    founders = births.filter(pl.col("operator") == "founder")
    assert founders.height == AGENTS
    assert founders["generation"].unique().to_list() == [0]
    assert founders.select("parent_id", "second_parent_id", "mutation_strength").null_count().row(0) == (AGENTS,) * 3
    children = births.filter(pl.col("operator") != "founder")
    assert set(children["operator"]) == {"mutation", "crossover"}
    assert children["mutation_strength"].null_count() == 0
    assert (children["second_parent_id"].is_not_null() == (children["operator"] == "crossover")).all()
    born = dict(births.select("id", "generation").iter_rows())
    died = dict(run.read("deaths").select("id", "generation").iter_rows())
    for row in children.to_dicts():
        for parent in (row["parent_id"], row["second_parent_id"]):
            if parent is not None:
                assert parent < row["id"]
                assert born[parent] < row["generation"]
                # A parent lived on through the turn-over it bred in.
                assert died.get(parent, GENERATIONS) >= row["generation"]


def test_as_many_are_born_as_die_and_the_population_stays_as_large(run: RunDirectory) -> None:
    births, deaths, generations = run.read("births"), run.read("deaths"), run.read("generations")
    assert generations.height == GENERATIONS * ISLANDS
    assert deaths["id"].n_unique() == deaths.height
    assert set(deaths["cause"]) == {"culled", "ruined", "aged"}
    alive = set(births.filter(pl.col("generation") == 0)["id"])
    for generation in range(GENERATIONS):
        judged = run.read("fitness").filter(
            (pl.col("generation") == generation) & (pl.col("split") == "train") & (pl.col("regime") == "all")
        )
        assert sorted(judged["id"]) == sorted(alive)
        dead = set(deaths.filter(pl.col("generation") == generation)["id"])
        assert dead <= alive
        own = generations.filter(pl.col("generation") == generation)
        assert own["deaths"].sum() == len(dead)
        assert own["births"].sum() == births.filter(pl.col("generation") == generation).height
        assert own["scars"].sum() == run.read("scars").filter(pl.col("generation") == generation).height
        alive = (alive - dead) | set(births.filter(pl.col("generation") == generation + 1)["id"])
        assert len(alive) == AGENTS


def test_migrants_are_counted_when_they_move(run: RunDirectory) -> None:
    moved = run.read("generations").group_by("generation").agg(pl.col("migrants").sum()).sort("generation")
    assert moved["migrants"].to_list() == [0, 2, 0, 2, 0, 2]


def test_fitness_is_consistent_with_itself(run: RunDirectory) -> None:
    fitness = run.read("fitness")
    assert set(fitness["split"]) == {"train", "validation"}
    assert fitness.group_by("generation", "id", "split").agg("regime")["regime"].to_list() == [list(REGIME_NAMES)] * (
        fitness.height // 5
    )
    key = ["generation", "id", "split"]
    parts = fitness.filter(pl.col("regime") != "all").group_by(key).agg(pl.col("bars", "trades", "log_return").sum())
    whole = fitness.filter(pl.col("regime") == "all").join(parts, on=key, suffix="_parts")
    assert (whole["bars"] == whole["bars_parts"]).all()
    assert (whole["trades"] == whole["trades_parts"]).all()
    assert (whole["log_return"] - whole["log_return_parts"]).abs().max() < 1e-5
    assert whole["bars"].max() == 4 * 32
    assert fitness["max_drawdown"].is_between(0, 1).all()
    assert fitness["win_rate"].drop_nulls().is_between(0, 1).all()
    assert (fitness["win_rate"].is_null() == (fitness["trades"] == 0)).all()
    assert fitness.filter(pl.col("bars") < 8)["sharpe"].null_count() == fitness.filter(pl.col("bars") < 8).height
    assert fitness.select(pl.col(pl.Float32).is_nan().any()).row(0) == (False,) * 7


def test_scars_are_of_agents_that_were_judged_and_name_what_was_hit(run: RunDirectory) -> None:
    scars = run.read("scars")
    judged = run.read("fitness").select("generation", "id").unique()
    assert scars.join(judged, on=["generation", "id"], how="anti").height == 0
    assert scars["severity"].is_between(0, 1, closed="right").all()
    assert set(scars["cause"]) <= {"drawdown", "liquidation", "ruin"}
    assert scars["episode"].max() < 4
    assert all(unit < 4 for units in scars["units"] for unit in units)
    assert scars["units"].list.len().max() > 0


def test_the_archive_is_a_chain_of_improvements_with_their_genomes(run: RunDirectory) -> None:
    archive = run.read("archive")
    assert set(archive["regime"]) <= set(REGIME_NAMES)
    for regime in REGIME_NAMES:
        own = archive.filter(pl.col("regime") == regime)
        assert own["previous_id"].to_list() == [None, *own["id"].to_list()][: own.height]
        assert own["previous_score"].to_list() == [None, *own["score"].to_list()][: own.height]
        assert own["score"].is_sorted()
    tried = run.read("fitness").filter(pl.col("split") == "validation").select("generation", "id").unique()
    assert archive.join(tried, on=["generation", "id"], how="anti").height == 0
    stored = {}
    for path in run.genomes.iterdir():
        with safe_open(path, framework="numpy") as file:
            about = file.metadata()
        assert about["species"] == "qnetwork"
        assert path.stem.split("-")[0] == about["id"]
        stored[int(about["id"]), int(about["generation"])] = path
    assert set(stored) == set(archive.select("id", "generation").iter_rows())
    assert {path.stem for path in stored.values() if "-" not in path.stem} == {str(x) for x in archive["id"]}


def test_lineage_puts_ancestors_first_with_their_depth(run: RunDirectory) -> None:
    lineage, births = pl.read_parquet(run.lineage), run.read("births")
    died = dict(run.read("deaths").select("id", "generation").iter_rows())
    depth: dict[int, int] = {}
    assert lineage.height == births.height
    for row in lineage.to_dicts():
        root = row["ancestor_id"] == row["id"]
        assert root == (row["operator"] == "founder")
        assert root or row["ancestor_id"] in depth
        depth[row["id"]] = 0 if root else depth[row["ancestor_id"]] + 1
        assert row["depth"] == depth[row["id"]]
        assert row["destruction_time"] == died.get(row["id"])
        assert (row["cause"] is None) == (row["destruction_time"] is None)
    assert max(depth.values()) > 1


def test_the_command_makes_the_same_lineage_anew_and_hands_it_to_phylotrackpy(
    run: RunDirectory, tmp_path: Path
) -> None:
    whole = run.lineage.read_bytes()
    run.lineage.unlink()
    assert arena("lineage", str(run.root))[0] == 0
    assert run.lineage.read_bytes() == whole
    out = tmp_path / "lineage.csv"
    assert arena("lineage", str(run.root), "--format", "alife", "--out", str(out))[0] == 0
    systematics = pytest.importorskip("phylotrackpy.systematics", reason="no phylotrackpy: pip install '.[oracles]'")
    loaded = systematics.Systematics(lambda organism: organism)
    loaded.load_from_file(str(out), "taxon_label", False)
    lineage = pl.read_parquet(run.lineage)
    living = lineage.filter(pl.col("destruction_time").is_null())
    depths = dict(lineage.select("id", "depth").iter_rows())
    assert lineage["second_parent_id"].count() > 0
    assert (loaded.get_num_taxa(), loaded.get_num_active()) == (lineage.height, living.height)
    found = {taxon.get_id(): loaded.get_distance_to_root(taxon) for taxon in loaded.get_active_taxa()}
    assert found == {own: depths[own] for own in living["id"]}


def test_timings_are_one_row_a_generation(run: RunDirectory) -> None:
    timings = run.read("timings")
    assert timings["generation"].to_list() == list(range(GENERATIONS))
    assert (timings["seconds"] > 0).all()
    assert (timings["compile_seconds"] > 0).to_list() == [True] + [False] * 5
    speed = AGENTS * 4 * 32 / timings["seconds"]
    assert (timings["agent_bars_per_second"] / speed - 1).abs().max() < 1e-9


def test_a_pipe_gets_plain_lines_a_table_and_the_directory_last(told: tuple[RunDirectory, str]) -> None:
    run, said = told
    lines = said.splitlines()
    assert lines[-1] == str(run.root)
    assert "\x1b" not in said
    assert "\r" not in said
    assert [line for line in lines if len(line) > 80 and str(run.root) not in line] == []
    assert len([line for line in lines if re.match(r" +\d+ +[+-]\d", line)]) == GENERATIONS
    table = lines[next(i for i, line in enumerate(lines) if line.startswith("champions")) :]
    assert "after costs" in table[0]
    for regime in REGIME_NAMES:
        own = table[table.index(regime) + 1 :][:4]
        assert [re.split(r" {2,}| \d", line.strip())[0] for line in own][1:] == ["flat", "buy and hold", "oracle"]
        assert own[0].startswith(("  champion ", "  no champion yet"))
    assert any(re.match(r"  champion \d+ .*[+-]\d+\.\d{3} .*%", line) for line in table)


def test_progress_can_be_turned_off_and_flush_and_checkpoints_change_nothing(
    run: RunDirectory, tmp_path: Path, quick: None
) -> None:
    intervals = ("record.flush=1", "record.checkpoint=4", "record.keep=1", "terminal.progress=false")
    other, said = evolve(tmp_path, *intervals)
    assert not re.search(r"\n +0 +[+-]", said)
    assert other.root.name == run.root.name
    assert len(list(other.table("births").iterdir())) == GENERATIONS
    assert [path.name for path in other.checkpoints.iterdir()] == ["00000006.safetensors"]
    assert_same(run, other)


def test_another_seed_is_another_run(run: RunDirectory, tmp_path: Path, no_table: None) -> None:
    other, _ = evolve(tmp_path, "seed=1")
    assert other.root.name != run.root.name
    for name in ("births", "deaths", "fitness", "generations", "archive"):
        assert not run.read(name).equals(other.read(name)), name


def test_a_finished_run_is_shown_and_not_run_again_and_force_makes_another(
    run: RunDirectory, program: list[jax.stages.Compiled], monkeypatch: pytest.MonkeyPatch
) -> None:
    without_compiling_again(monkeypatch, program)
    before = {path: path.stat().st_mtime_ns for path in run.root.rglob("*")}
    again, said = evolve(run.root.parent, "terminal.progress=false")
    assert again.root == run.root
    assert "finished before, 6 generations" in said
    assert "champions" in said
    assert {path: path.stat().st_mtime_ns for path in run.root.rglob("*")} == before
    without_table(monkeypatch)
    second, _ = evolve(run.root.parent, "force=true")
    assert second.root == run.root.with_name(f"{run.root.name}-2")
    assert_same(run, second)
    assert second.read_manifest()["run_id"] == run.root.name


def test_fitness_of_births_or_of_the_archive_is_a_part_of_all_of_it(
    run: RunDirectory, tmp_path: Path, quick: None
) -> None:
    every, born = run.read("fitness"), dict(run.read("births").select("id", "generation").iter_rows())
    for whose in ("births", "archive"):
        part = evolve(tmp_path, f"record.fitness={whose}", "terminal.progress=false")[0].read("fitness")
        assert 0 < part.height < every.height
        assert part.join(every, on=every.columns, how="anti", nulls_equal=True).height == 0
        train = part.filter(pl.col("split") == "train")
        if whose == "births":
            assert all(born[row["id"]] == row["generation"] for row in part.to_dicts())
            assert train["id"].n_unique() == len([g for g in born.values() if g < GENERATIONS])
        else:
            validated = every.filter(pl.col("split") == "validation")
            assert part.filter(pl.col("split") == "validation").equals(validated)
            assert set(train["id"]) == set(validated["id"])


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core is one device")
def test_the_number_of_devices_changes_nothing_but_the_manifest(tmp_path: Path, cache: Path, quick: None) -> None:
    """But for rounding, since it is compiled plainly; `arena/test_devices.py` compares bits of what users have."""
    short = ("evolution.generations=1", "terminal.progress=false")
    one, _ = evolve(tmp_path / "one", *short)
    words = [*SMALL, *short, "device.count=2", f"runs_dir={tmp_path / 'two'}"]
    done = subprocess.run(
        [sys.executable, plainly.__file__, "evolve", *words],
        env={**os.environ, "JAX_COMPILATION_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    two = RunDirectory(Path(done.stdout.splitlines()[-1]))
    assert two.read_manifest()["device"]["count"] == 2
    assert two.root.name == one.root.name
    for name in RECORDED:
        assert_frame_equal(one.read(name), two.read(name), rel_tol=1e-4, abs_tol=1e-6)
    assert_frame_equal(pl.read_parquet(one.lineage), pl.read_parquet(two.lineage), rel_tol=1e-4)
    for folder in ("checkpoints", "genomes"):
        names = [sorted(path.name for path in (run.root / folder).iterdir()) for run in (one, two)]
        assert names[0] == names[1]
        for name in names[0]:
            first, second = (load_file(run.root / folder / name) for run in (one, two))
            assert first.keys() == second.keys()
            for key, leaf in first.items():
                np.testing.assert_allclose(leaf, second[key], rtol=1e-4, atol=1e-6, err_msg=key)


def test_check_says_what_is_needed_and_creates_nothing(tmp_path: Path) -> None:
    code, said, _ = arena("evolve", *SMALL, f"runs_dir={tmp_path / 'runs'}", "check=true")
    assert code == 0
    assert re.search(r"  needs   about [\d.]+ \w+: [\d.]+ \w+ to compile, [\d.]+ \w+ a generation\n", said)
    assert re.search(r"          about [\d.,]+ GiB of memory and [\d.,]+ MiB of disk\n", said)
    assert f"{AGENTS * 4 * 32:,} agent-bars" in said
    assert list(tmp_path.iterdir()) == []


def test_a_market_without_any_cost_is_said_to_be_so(tmp_path: Path) -> None:
    free = ("evolve", *SMALL, f"runs_dir={tmp_path}", "check=true", "broker.spread=0")
    assert "NO COSTS" in arena(*free)[1]
    assert "NO COSTS" not in arena(*free, "broker.commission=0.0001")[1]
    assert "NO COSTS" not in arena(*free, "costs={SYN1: {slippage: 0.0001}}")[1]


def test_every_table_and_column_is_documented_in_order() -> None:
    text = (DOCS / "records.md").read_text(encoding="utf-8")
    for name, schema in {**TABLES, "lineage": LINEAGE}.items():
        section = re.split(r"^#+ ", text.split(f"### `{name}.parquet`")[1], flags=re.MULTILINE)[0]
        assert re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE) == list(schema), name
    assert set(RECORDED) < set(TABLES)
