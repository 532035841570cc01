"""`arena bench`: what it prints has the promised form and counts what it says; how fast anything is, is not tested."""

import dataclasses
import itertools
import json
import os
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from agents.live import Account, Bar, Decision
from arena.bench import Measurement, Size, World, matrix_gflops, measure_judging, measure_replay, timed
from arena.records import GenerationRecord
from experiments.bench import latency, results, rows, table
from experiments.bench.latency import Waits
from experiments.bench.learning import Updates
from experiments.bench.lineage import FULL_LINEAGES, Lineages, Measured
from experiments.bench.names import NAMES, OPTIONAL
from experiments.bench.rows import Rows, RowSize, measure_forests
from experiments.cli import main
from experiments.configuration.study import RecordSettings
from experiments.runs.directory import RunDirectory
from markets.bars import CLOSE
from markets.synthetic import SyntheticSettings, simulate

pytestmark = pytest.mark.usefixtures("plainly_compiled")

ROWS = RowSize(4, 512, (64, 128))
LINEAGES = Lineages(metrics=(20, 100, 0.5), export=(200, 10, 1.0))
TINY = results.Scale(
    Size(64, 2, 32), Size(64, 2, 32), replay=50, matrix=8, rows=ROWS, scaled=(64,), lineages=LINEAGES, decided=40
)
MEMORY = {"array_bytes", "estimated_array_bytes", "peak_bytes", "estimated_bytes"}
ROW = {
    "name",
    "species",
    "agents",
    "episodes",
    "bars",
    "agent_bars_per_second",
    "least",
    "most",
    "repeats",
    "compile_seconds",
    "matrix_share",
    "cores_busy",
}


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "QUICK", TINY)
    monkeypatch.setattr(results, "FULL", TINY)


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["bench", "--json", "--repeat", "2", *words]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    found: dict[str, Any] = json.loads(out)
    return found


def test_json_is_one_object_with_a_row_for_each_result(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, "--only", "qnetwork_judging", "--only", "replay_float64")
    assert set(found) == {"machine", "matrix_gflops", "results"}
    assert found["machine"]["cores"] >= 1
    assert found["machine"]["devices"] == len(jax.devices())
    judging, replay = found["results"]
    assert set(judging) == set(replay) == ROW
    assert (judging["name"], judging["species"]) == ("qnetwork_judging", "qnetwork")
    assert (judging["agents"], judging["episodes"], judging["bars"]) == (64, 2, 32)
    assert (replay["name"], replay["agents"], replay["episodes"], replay["bars"]) == ("replay_float64", 1, 1, 50)
    assert replay["species"] is None
    assert replay["matrix_share"] is None
    for row in found["results"]:
        assert 0 < row["least"] <= row["agent_bars_per_second"] <= row["most"]
        assert row["repeats"] == 2
        assert row["compile_seconds"] > 0
    flops = 2 * (24 * 32 + 4 * 32 + 32 * 32 + 32 * 3)
    share = flops * judging["agent_bars_per_second"] / (found["matrix_gflops"] * 1e9)
    assert judging["matrix_share"] == pytest.approx(share)


def test_the_table_fits_a_terminal_and_names_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--quick", "--repeat", "1", "--only", "replay_float64"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("replay_float64") for line in lines)
    assert all(len(line) <= 80 for line in lines if "cores" not in line)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--repeat", "0"], "--repeat 0: must be at least 1"),
        (["--only", "nothing"], "invalid choice: 'nothing'"),
        (["--scale", "--only", "replay_float64"], "--only: names results of the other kind"),
    ],
)
def test_a_mistake_gets_one_line(capsys: pytest.CaptureFixture[str], words: list[str], says: str) -> None:
    assert main(["bench", *words]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(("name", "how"), [(name, how) for name, (_, how) in OPTIONAL.items()])
def test_a_library_that_is_not_there_is_asked_for_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, how: str
) -> None:
    monkeypatch.setattr(results, "_has", lambda _: False)
    assert main(["bench", "--only", name]) == 2
    error = capsys.readouterr().err
    assert f"{name}: {OPTIONAL[name][0]} is not installed; {how}" in error
    assert error.count("\n") == 1


def test_libraries_are_measured_only_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "_has", lambda module: module == "lightgbm")
    monkeypatch.setattr(results, "World", lambda *_: None)
    monkeypatch.setattr(results, "_WORLDLY", dict.fromkeys(results._WORLDLY, lambda *_: Measurement(1, (1.0,), 1.0)))
    monkeypatch.setattr(
        results, "_ROWS", dict.fromkeys(results._ROWS, lambda *_: Rows(1, 1, Measurement(1, (1.0,), 1.0)))
    )
    monkeypatch.setattr(results, "recording_share", lambda *_: 0.1)
    monkeypatch.setattr(results, "measure_updates", lambda *_: Updates(1, 64, Measurement(1, (1.0,), 1.0)))
    monkeypatch.setattr(results, "measure_lineage", lambda *_: Measured(1, (1.0,), 1.0, {}, None))
    monkeypatch.setattr(results, "novice_bundle", lambda *_: None)
    monkeypatch.setattr(
        results, "measure_latency", lambda *_: Waits(1, ((1.0, 2.0, 3.0),), ((1.0, 2.0, 3.0),), (1.0,), 1.0)
    )
    names = [row["name"] for row in results.measure(TINY, repeat=1)["results"]]
    assert names == [name for name in NAMES if OPTIONAL.get(name, ("lightgbm",))[0] == "lightgbm"]


def test_rows_have_a_rate_of_their_own_and_the_last_lines_compare(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xgboost")
    pytest.importorskip("lightgbm")
    monkeypatch.setattr(results, "cores", lambda: 1)
    wanted = ("forest_rows_oblivious", "forest_rows_ordinary", "xgboost_rows", "lightgbm_rows")
    found = results.measure(TINY, only=wanted, repeat=2)
    assert tuple(row["name"] for row in found["results"]) == wanted
    for row in found["results"]:
        assert set(row) - {"tried"} == ROW | {"rows_per_second", "outputs"}
        assert row["agent_bars_per_second"] is row["matrix_share"] is None
        assert 0 < row["least"] <= row["rows_per_second"] <= row["most"]
    for row in found["results"][:2]:
        assert (row["species"], row["agents"], row["bars"], row["outputs"]) == ("forest", 4, 512, 3)
        assert row["compile_seconds"] > 0
    for row, kinds in zip(found["results"][2:], (3, 2), strict=True):
        assert (row["species"], row["agents"], row["compile_seconds"]) == (None, 1, None)
        assert row["bars"] in ROWS.batches
        assert len(row["tried"]) == kinds
        assert row["outputs"] == (1 if max(row["tried"], key=row["tried"].get) == "1 output" else 3)
    for row, rate in zip(found["results"], (81e6, 52e6, 10e6, 4e6), strict=True):
        row |= {"rows_per_second": rate, "least": 100e6, "most": 100e6, "bars": 262_144}
    table.show(found)
    lines = capsys.readouterr().out.splitlines()
    assert "forests: 8.1 × XGBoost oblivious, 5.2 × ordinary" in lines
    assert "forests: 20.2 × LightGBM oblivious, 13.0 × ordinary" in lines
    assert all(any(line.startswith(name) for line in lines) for name in wanted)
    assert all(len(line) <= 80 for line in lines if "cores" not in line)


def test_updates_have_a_rate_of_their_own_and_the_last_lines_compare(capsys: pytest.CaptureFixture[str]) -> None:
    wanted = ("forest_all_on", "forest_learning", "forest_updates", "qnetwork_updates")
    found = results.measure(TINY, only=wanted[2:], repeat=2)
    for row, name in zip(found["results"], ("qnetwork_updates", "forest_updates"), strict=True):
        assert set(row) == ROW | {"updates_per_second"}
        assert (row["name"], row["agents"], row["bars"], row["agent_bars_per_second"]) == (name, 64, 64, None)
        assert 0 < row["least"] <= row["updates_per_second"] <= row["most"]
    products = 2 * (24 * 32 + 4 * 32 + 32 * 32 + 32 * 3)
    share = 4 * 64 * products * found["results"][0]["updates_per_second"] / (found["matrix_gflops"] * 1e9)
    assert found["results"][0]["matrix_share"] == pytest.approx(share)
    assert found["results"][1]["matrix_share"] is None
    plain = found["results"][0] | {"agent_bars_per_second": 8e6, "name": "forest_all_on"}
    del plain["updates_per_second"]
    found["results"] += [plain, plain | {"agent_bars_per_second": 5e6, "name": "forest_learning"}]
    table.show(found)
    lines = capsys.readouterr().out.splitlines()
    assert "forest: learning keeps 62% of the speed without" in lines
    assert all(any(line.startswith(name) for line in lines) for name in wanted)
    assert all(len(line) <= 80 for line in lines if "cores" not in line)


def test_a_world_that_learns_counts_the_products_of_its_updates() -> None:
    plain, learning = (World(Size(64, 4, 32), "qnetwork", inheritance) for inheritance in ("none", "lamarckian"))
    assert learning.flops - plain.flops == 4 * 64 * plain.flops // (16 * 4)
    assert learning.state.populations[0].learner.optimiser


def test_lineages_are_measured_in_processes_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    wanted = ("lineage_metrics", "lineage_export")
    found = results.measure(TINY, only=wanted, repeat=2)
    measured, exported = found["results"]
    for row, name in zip(found["results"], wanted, strict=True):
        assert set(row) == ROW | {"agents_per_second", "seconds", "parts", "peak_bytes", "file_bytes"}
        assert row["name"] == name
        assert row["agent_bars_per_second"] is row["compile_seconds"] is row["matrix_share"] is None
        assert row["repeats"] == 2
        assert 0 < row["least"] <= row["agents_per_second"] <= row["most"]
        assert row["agents"] / row["most"] <= row["seconds"] <= row["agents"] / row["least"]
        assert 0 < row["peak_bytes"] < 2**30  # Python with polars, and not this process with JAX
    assert measured["agents"] == 20 + 100 * 10
    assert measured["file_bytes"] is None
    assert len(measured["parts"]) == 5
    assert 200 < exported["agents"] < 200 + 10 * 200  # pruned
    assert exported["file_bytes"] > 4 * exported["agents"]
    table.show(found)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("lineage_export") and f"{exported['agents']:,}" in line for line in lines)
    assert all(len(line) <= 80 for line in lines if "cores" not in line)


def test_decisions_of_novices_are_timed_in_processes_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    wanted = ("qnetwork_latency_numpy", "qnetwork_latency_onnx")
    found = results.measure(TINY, only=wanted, repeat=2)
    for row, name in zip(found["results"], wanted, strict=True):
        assert set(row) == ROW | {"microseconds", "processor_microseconds"}
        assert (row["name"], row["species"]) == (name, "qnetwork")
        assert (row["agents"], row["episodes"], row["repeats"]) == (1, 1, 2)
        assert row["agent_bars_per_second"] is row["compile_seconds"] is row["matrix_share"] is None
        assert 20 < row["bars"] <= 40
        assert list(row["microseconds"]) == ["p50", "p99", "p99.9"]
        for p50, p99, last in (row["microseconds"].values(), row["processor_microseconds"].values()):
            assert 1 < p50 <= p99 <= last
        assert row["least"] <= row["microseconds"]["p99"] <= row["most"]
    table.show(found)
    lines = capsys.readouterr().out.splitlines()
    assert all(any(line.startswith(name) for line in lines) for name in wanted)
    assert all(len(line) <= 80 for line in lines if "cores" not in line)


def test_waits_are_of_decisions_alone_and_the_account_holds_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clocks that tick a microsecond and half of one a look, and a champion that knows only at every third bar: buy."""
    clocks = {"perf_counter_ns": itertools.count(0, 1000), "thread_time_ns": itertools.count(0, 500)}
    for name, ticks in clocks.items():
        monkeypatch.setattr(latency.time, name, lambda ticks=ticks: next(ticks))
    accounts: list[Account] = []

    class Third:
        def on_bar(self, bar: Bar, account: Account) -> Decision:
            accounts.append(account)
            if len(accounts) % 3:
                return Decision.none("warming_up")
            return dataclasses.replace(Decision.none(""), action=1, target=0.5)

    (bars,) = simulate(SyntheticSettings(bars=9), 0)
    waits = latency._play(Third(), bars)
    assert waits.tolist() == [[1000, 500]] * 3
    prices = (bars.bid[:, CLOSE] + bars.ask[:, CLOSE]) / 2
    held = [0.0] * 3 + [0.5 * 10_000 / prices[2]] * 3 + [0.5 * 10_000 / prices[5]] * 3
    assert [account.units for account in accounts] == held
    assert [account.entry for account in accounts] == [0.0] * 3 + [prices[2]] * 3 + [prices[5]] * 3


def test_a_process_that_is_timed_has_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    with latency._one_thread():
        assert os.environ["OMP_NUM_THREADS"] == os.environ["OPENBLAS_NUM_THREADS"] == "1"
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "OPENBLAS_NUM_THREADS" not in os.environ


def test_the_lineages_of_the_bench_are_as_large_as_is_said() -> None:
    population, generations, replaced = FULL_LINEAGES.metrics
    assert population + generations * round(population * replaced) == 10_000_000


def test_models_are_as_large_as_the_forests(monkeypatch: pytest.MonkeyPatch) -> None:
    xgboost, lightgbm = pytest.importorskip("xgboost"), pytest.importorskip("lightgbm")
    made: list[list[int]] = []  # leaves of each tree

    def watched(library: Any, leaves: Any) -> None:
        train = library.train

        def training(*given: Any) -> Any:
            made.append(leaves(model := train(*given)))
            return model

        monkeypatch.setattr(library, "train", training)

    watched(xgboost, lambda model: [tree.count("leaf=") for tree in model.get_dump()])
    watched(lightgbm, lambda model: [tree["num_leaves"] for tree in model.dump_model()["tree_info"]])
    rows.measure_xgboost(ROWS, 1, 1)
    rows.measure_lightgbm(ROWS, 1, 1)
    assert [len(trees) for trees in made] == [16, 48, 16, 16, 48]
    assert all(max(trees) == 16 for trees in made)
    assert all(sum(trees) > 14 * len(trees) for trees in made)


@pytest.mark.parametrize("layout", ["oblivious", "ordinary"])
def test_forests_differ_and_all_answer(layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []
    monkeypatch.setattr(rows, "timed", lambda once, repeat: (said.append(once()), ((1.0,) * repeat, 1.0))[1])
    found = measure_forests(layout, ROWS, 1)
    assert (found.forests, found.batch, found.found.agent_bars) == (4, 512, 4 * 512)
    (answers,) = said
    assert answers.shape == (4, 1, 16, 3, 32)
    assert len({row.tobytes() for row in jax.device_get(answers)}) == 4


def test_a_first_repeat_does_not_count() -> None:
    calls = []
    seconds, busy = timed(lambda: calls.append(None), 3)
    assert len(calls) == 4
    assert len(seconds) == 3
    assert busy >= 0


def test_a_rate_is_agent_bars_over_seconds() -> None:
    found = Measurement(agent_bars=Size(10, 5, 2).agent_bars, seconds=(1.0, 4.0, 2.0), busy=1.0, flops=4)
    assert found.rates == (25.0, 50.0, 100.0)
    assert found.matrix_share(1.0) == pytest.approx(4 * 50 / 1e9)
    assert Measurement(1, (1.0,), 1.0).matrix_share(1.0) is None


def test_the_matrix_product_has_a_rate() -> None:
    assert matrix_gflops(size=8, repeat=1) > 0


def test_replay_runs_the_bars_it_says() -> None:
    found = measure_replay(40, 1)
    assert found.agent_bars == 40
    assert len(found.seconds) == 1
    assert jnp.zeros(1).dtype == jnp.float32  # double precision stays inside


def test_judging_leaves_the_world_as_it_is() -> None:
    world = World(TINY.base)
    before = jax.device_get(world.state.populations[0].id)
    found = measure_judging(world, 1)
    assert found.agent_bars == 64 * 2 * 32
    assert (jax.device_get(world.state.populations[0].id) == before).all()
    assert int(world.state.generation) == 0


@pytest.mark.slow
def test_a_whole_world_turns_and_its_records_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[str, list[int]] = {}

    def look(run: RunDirectory, *_: object) -> None:
        written["fitness"] = run.read("fitness")["generation"].unique().sort().to_list()

    monkeypatch.setattr(results, "save_checkpoint", look)
    world = World(TINY.base)
    settings = world.settings
    assert settings.scars.enabled
    assert settings.scars.damage
    assert settings.scars.memory.enabled
    assert settings.trust.enabled
    assert settings.archive.enabled
    assert settings.exploration.enabled
    assert settings.evolution.stops
    assert settings.evolution.migration.every
    found = world.measure_generation(1)
    assert int(world.state.generation) == 2
    assert found.compile_seconds is not None
    assert found.compile_seconds > 0
    record: GenerationRecord = world.turn()
    assert bool(record.finite)
    share = results.recording_share(world, 1, RecordSettings(checkpoint=2))
    assert share < 1.0
    assert int(world.state.generation) == 3 + 4
    recorded = results.measure_recorded(world, 1, RecordSettings(checkpoint=2))
    assert recorded.agent_bars == 2 * 64 * 2 * 32
    assert written["fitness"] == [7, 8, 9, 10]


@pytest.mark.slow
def test_the_series_names_its_worlds_and_their_memory(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = printed(capsys, "--scale")
    (row,) = found["results"]
    assert set(row) == ROW | MEMORY
    assert (row["name"], row["agents"], row["repeats"]) == ("scale_64", 64, 2)
    assert 0 < row["array_bytes"] <= row["estimated_array_bytes"]
    assert row["peak_bytes"] > 0
    table.show(found)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("scale_64") for line in lines)
    assert all(len(line) <= 80 for line in lines if "cores" not in line)
