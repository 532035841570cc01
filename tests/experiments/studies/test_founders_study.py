"""A small founders study: both arms, what is judged, real bars, going on, and what is refused."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal
from small_runs import SMALL, arena, without_compiling_again

from arena.schemas import REGIME_NAMES
from experiments.configuration.compose import compose
from experiments.configuration.study import make_study
from experiments.runs.directory import RunDirectory
from experiments.runs.trees import metadata_of
from experiments.studies import founders
from markets.source import supply
from markets.splits import split

pytestmark = pytest.mark.usefixtures("plainly_compiled")

pytest.importorskip("lightgbm", reason="the extra [trees] is not installed")

PLAYERS = ["evolved", "library", "founder_library", "evolved_random", "founder_random", "hold", "oracle"]

COLUMNS = {"edge", "seed", "player", "id", "regime", "bars", "log_return", "sharpe", "matched", "trades"}

OWN = (
    *(line for line in SMALL if not line.startswith(("market", "species.qnetwork", "scars", "trust", "broker.ruin"))),
    "scars=none",
    "trust=none",
    "species.forest.market_trees=3",
    "species.forest.state_trees=0",
    "species.forest.depth=2",
    "training.models=2",
    "training.horizons=[4]",
    "training.learning_rate=1",
    "evolution.generations=2",
    "evolution.stops=false",
    "evolution.agents=8",
    "evolution.islands=1",
    "selection.pool=4",
    "archive.candidates=1",
)


def words(folder: Path, *more: str) -> list[str]:
    made_up = [] if "market=bars" in more else ["market.bars=3000"]
    return ["founders", *OWN, *made_up, f"runs_dir={folder}", "--seeds", "2", *more]


@contextlib.contextmanager
def one_program() -> Iterator[None]:
    """Both arms of a study run one program, so it is compiled once."""
    with pytest.MonkeyPatch.context() as patch:
        without_compiling_again(patch, [])
        yield


@pytest.fixture(scope="module")
def study(plainly_compiled: None, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A study of two seeds with an edge."""
    folder = tmp_path_factory.mktemp("founders")
    with one_program():
        code, said, complaint = arena(*words(folder, "--fresh", "1"))
    assert code in (0, 1), complaint  # a study so small need not find anything
    assert code == int("NOT CONFIRMED" in said)
    return folder, said


def arms(folder: Path) -> tuple[RunDirectory, RunDirectory]:
    """The runs of the library's founders and of random ones."""
    roots = sorted(
        (path.parent for path in folder.glob("*/manifest.json")), key=lambda root: not (root / "fresh.parquet").exists()
    )
    assert [(root / "fresh.parquet").exists() for root in roots] == [True, False]
    return RunDirectory(roots[0]), RunDirectory(roots[1])


@pytest.mark.slow
def test_both_arms_are_runs_alike_but_for_their_founders(study: tuple[Path, str]) -> None:
    library, random = arms(study[0])
    first, second = library.read_config(), random.read_config()
    assert [own["species"].pop("founders") for own in (first, second)] == ["lightgbm", "random"]
    assert first == second
    assert first["species"]["forest"]["layout"] == "ordinary"
    assert first["evolution"]["replicates"] == 2
    assert first["record"]["fitness"] == "archive"
    assert metadata_of(library.founders)["source"] == "lightgbm"
    assert not random.founders.exists()


@pytest.mark.slow
def test_everybody_is_judged_on_the_same_fresh_markets_a_seed(study: tuple[Path, str]) -> None:
    table = pl.read_parquet(arms(study[0])[0].root / "fresh.parquet")
    assert set(table.columns) == COLUMNS
    assert table["edge"].unique().to_list() == [8.0]
    assert table["seed"].unique().sort().to_list() == [0, 1]
    assert set(table["player"]) <= set(PLAYERS)
    bars = (
        table.filter(pl.col("player").is_in(["hold", "oracle"]))
        .group_by("seed", "regime")
        .agg(pl.col("bars").n_unique())
    )
    assert (bars["bars"] == 1).all()
    held = table.filter(player="hold", regime="all")["log_return"]
    assert held.n_unique() == 2
    assert (table.filter(player="oracle", regime="all")["log_return"] > 0).all()
    library = table.filter(player="library")
    assert library["regime"].to_list() == [*REGIME_NAMES] * 2
    assert set(library["id"]) <= {0, 1}


@pytest.mark.slow
def test_players_are_the_champions_at_the_end_and_after_the_first_generation(study: tuple[Path, str]) -> None:
    table = pl.read_parquet(arms(study[0])[0].root / "fresh.parquet")
    names = (("evolved", "founder_library"), ("evolved_random", "founder_random"))
    for directory, (last, first) in zip(arms(study[0]), names, strict=True):
        archive = directory.read("archive").join(
            directory.read("births").select("id", seed="island"), on="id", how="left", maintain_order="left"
        )
        for player, part in ((last, archive), (first, archive.filter(generation=0))):
            want = part.group_by("seed", "regime", maintain_order=True).agg(pl.col("id").last())
            rows = table.filter(player=player).select(pl.col("seed"), "regime", "id")
            assert set(rows.rows()) == set(want.rows())


@pytest.mark.slow
def test_it_is_told_what_each_arm_gained_on_validation(study: tuple[Path, str]) -> None:
    said = study[1].splitlines()
    for directory, name in zip(arms(study[0]), ("from lightgbm", "random"), strict=True):
        archive = directory.read("archive").join(
            directory.read("births").select("id", seed="island"), on="id", how="left"
        )
        own = archive.filter(regime="all").sort("generation")
        ends = [own.filter(generation=0), own]
        first, last = (
            sum(
                part.filter(seed=seed)["score"].to_list()[-1] if part.filter(seed=seed).height else 0.0
                for seed in (0, 1)
            )
            / 2
            for part in ends
        )
        (line,) = [line for line in said if line.startswith(f"  founders {name} ")]
        assert f"{1e4 * first:+.3f} to {1e4 * last:+.3f}" in line


@pytest.mark.slow
def test_a_second_start_evolves_nothing_and_its_exit_code_is_what_the_table_says(
    study: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, said = study
    path = arms(folder)[0].root / "fresh.parquet"
    before = pl.read_parquet(path)
    with one_program():
        code, again, complaint = arena(*words(folder, "--fresh", "1"))
    assert code in (0, 1), complaint
    assert again.count("finished before") == 2
    assert "compiling" not in again
    assert said.splitlines()[-8:] == again.splitlines()[-8:]
    assert_frame_equal(pl.read_parquet(path), before)
    for better, want in ((1e-3, 0), (-1e-3, 1)):
        others = pl.when(player="evolved_random").then(1e-4).otherwise(0.0) + 1e-5 * pl.col("seed")
        shift = pl.when(player="evolved").then(better).otherwise(others)
        parts = before.with_columns(log_return=shift.cast(pl.Float64)).partition_by("seed")
        monkeypatch.setattr(founders, "judge_arms", lambda *args, parts=parts: iter(parts))
        assert arena(*words(folder, "--fresh", "1"))[0] == want


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A file of bars, and the same with other bars in the place of the holdout's."""
    folder = tmp_path_factory.mktemp("bars")
    tables = []
    for seed in (5, 6):
        path = folder / f"made-{seed}.parquet"
        code, _, complaint = arena("data", "make", "market.bars=2500", f"seed={seed}", "--out", str(path))
        assert code == 0, complaint
        tables.append(pl.read_parquet(path))
    bars, others = tables
    config = compose([*OWN, "species=forest", "market=bars", f"market.path={folder / 'made-5.parquet'}"])
    made = make_study(config)
    symbol = supply(made.market, 0).bars
    _, (rows,) = split(symbol, made.settings.split, window=31, episode=33)
    first = rows.validation.stop
    assert 1000 < first < 2000
    pl.concat([bars[:first], others[first:]]).write_parquet(folder / "garbage.parquet")
    return folder / "made-5.parquet", folder / "garbage.parquet"


def table_end(path: Path) -> object:
    """The stamp of the last bar of a file."""
    return pl.read_parquet(path)["timestamp"].max()


@pytest.mark.slow
def test_on_real_bars_the_same_is_told_without_a_verdict_and_the_holdout_stays_shut(
    files: tuple[Path, Path], cache: Path, tmp_path: Path
) -> None:
    tables = []
    with one_program():
        for path in files:
            folder = tmp_path / path.stem
            code, said, complaint = arena(*words(folder, "market=bars", f"market.path={path}"))
            assert code == 0, complaint
            assert "CONFIRMED" not in said
            assert "seeds differ in evolution alone" in said
            library, random = arms(folder)
            tables.append(
                (pl.read_parquet(library.root / "fresh.parquet"), library.read("archive"), random.read("archive"))
            )
    for one, other in zip(*tables, strict=True):
        assert_frame_equal(one, other)
    table = tables[0][0]
    assert table["edge"].null_count() == table.height
    assert "oracle" not in set(table["player"])
    for player in ("hold", "library"):
        same = table.filter(player=player).drop("seed").partition_by("regime")
        assert all(part[0].equals(part[1]) for part in same if part.height == 2)
    config = library.read_config()
    assert Path(config["market"]["path"]).is_absolute(), "it can be resumed from any folder"
    assert config["split"]["validation_from"] < config["split"]["holdout_from"] < str(table_end(files[0]))


def test_what_would_run_can_be_looked_at_first(tmp_path: Path) -> None:
    own = words(tmp_path / "runs", "--edge", "4", "--from", "catboost")
    code, said, complaint = arena(*own, "--cfg", "job")
    assert code == 0, complaint
    configs = list(yaml.safe_load_all(said))
    assert [own["species"]["founders"] for own in configs] == ["catboost", "random"]
    assert [own["species"]["forest"]["layout"] for own in configs] == [None, None]
    assert [own["market"]["edge"] for own in configs] == [4.0, 4.0]
    code, said, complaint = arena(*own, "check=true")
    assert code == 0, complaint
    assert said.count("needs") == 2
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (["--seeds", "1"], "--seeds: 1 is too small; at least 2"),
        (["--fresh", "0"], "--fresh: 0 is too small; at least 1"),
        (["--edge", "nan"], "--edge: nan is too small; at least 0"),
        (["--from", "random"], "--from: random is no library that trains founders; there are: xgboost, "),
        (["--from", "file"], "--from: file is no library that trains founders"),
        (["archive=none"], "archive.enabled: without an archive there are no champions to judge"),
        (["species=[forest,qnetwork]"], "species: the founders study breeds forests alone"),
        (["species.founders=catboost"], "species.founders=catboost: the founders study gives its arms this key; say "),
        (["++species.founders=catboost"], "say --from catboost instead"),
        (["market.edge=4"], "say --edge 4 instead"),
        (["evolution.replicates=3"], "say --seeds 3 instead"),
        (["market.symbols=2", "market.mode=basket"], "market.mode: the founders study judges one symbol an account"),
        (["device.coordinator=node1:4711", "device.processes=2", "device.process=0"], "runs in one process"),
        (["force=true"], "force: the founders study goes on with what is there"),
        (["market=sp500", "--edge", "8"], "--edge: only a made-up market has one; leave it out with market=sp500"),
        (["market=sp500", "--fresh", "2"], "--fresh: only a made-up market has one"),
        (["market=bars", "market.path=none.parquet"], "none.parquet"),
        (["market.bars=200"], "split"),
        (["species.forest.depht=3"], "species.forest.depht"),
    ],
)
def test_what_cannot_be_judged_is_refused(tmp_path: Path, wrong: list[str], complaint: str) -> None:
    code, said, why = arena("founders", *OWN, f"runs_dir={tmp_path / 'runs'}", *wrong)
    assert code == 2
    assert complaint in why
    assert len(why.splitlines()) == 1
    assert not said
    assert not (tmp_path / "runs").exists()


def test_other_species_are_refused_before_forests_are_given_a_layout(tmp_path: Path) -> None:
    code, _, why = arena("founders", "species=qnetwork", f"runs_dir={tmp_path / 'runs'}")
    assert code == 2
    assert why == "arena: species: the founders study breeds forests alone; leave it out, or give species=forest\n"


def test_arms_of_different_lengths_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    class State:
        def __init__(self, generation: int) -> None:
            self.generation = np.asarray(generation)

    class Stub:
        job = directory = None

    ends = iter([State(40), State(20)])
    monkeypatch.setattr(founders, "last_state", lambda job, directory: next(ends))
    with pytest.raises(founders.UserError, match=r"evolution\.generations: one arm went 40 .* give 40, and both"):
        next(founders.judge_arms(founders.FoundersStudy("lightgbm", 2), (Stub(), Stub()), None))
