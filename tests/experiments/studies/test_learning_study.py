"""A small learning study: its arms, equal budgets, the markets they share, going on, and what is refused."""

from pathlib import Path

import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal
from small_runs import SMALL, arena

from arena.schemas import REGIME_NAMES
from experiments.configuration.compose import compose
from experiments.runs.directory import RunDirectory
from experiments.studies.learning import ARMS, Arm, Budget, budget_of, see_equal
from markets.errors import UserError

PLAYERS = ["champion", "founder", "hold", "oracle"]

OWN = (
    *(line for line in SMALL if not line.startswith(("broker.ruin", "scars", "trust", "market.bars"))),
    "trust=none",
    "selection=tournament",
    "evolution.stops=false",
    "evolution.agents=8",
    "evolution.islands=1",
    "evolution.generations=3",
    "market.bars=1500",
    "learning.every=8",
    "learning.batch=8",
)


def words(folder: Path, *more: str) -> list[str]:
    return ["learning", *OWN, f"runs_dir={folder}", "--species", "qnetwork", "--seeds", "2", "--fresh", "1", *more]


@pytest.fixture(scope="module")
def study(plainly_compiled: None, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A study of two seeds."""
    folder = tmp_path_factory.mktemp("learning")
    code, said, complaint = arena(*words(folder))
    assert code == 0, complaint
    return folder, said


def runs(folder: Path) -> dict[str, RunDirectory]:
    """The run of each arm, in the order they were made."""
    found = {}
    for path in folder.glob("*/manifest.json"):
        directory = RunDirectory(path.parent)
        config = directory.read_config()
        alone = config["turnover"]["culled"] == 0
        inheritance = config["learning"]["inheritance"]
        found["learning" if alone else {"none": "evolution"}.get(inheritance, inheritance)] = directory
    return {name: found[name] for name in ARMS}


def table_of(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(runs(folder)["lamarckian"].root / "fresh.parquet")


def test_arms_are_runs_alike_but_for_who_learns_and_who_dies(study: tuple[Path, str]) -> None:
    configs = {name: run.read_config() for name, run in runs(study[0]).items()}
    learning = {name: config.pop("learning") for name, config in configs.items()}
    turnover = {name: config.pop("turnover") for name, config in configs.items()}
    assert all(config == configs["evolution"] for config in configs.values())
    assert [own["inheritance"] for own in learning.values()] == ["none", "lamarckian", "lamarckian", "baldwinian"]
    taught = [{**own, "inheritance": ""} for name, own in learning.items() if name != "evolution"]
    assert taught[0] == taught[1] == taught[2]
    assert taught[0]["every"] == taught[0]["batch"] == 8
    alone = turnover.pop("learning")
    assert all(own == turnover["evolution"] for own in turnover.values())
    assert alone == {**turnover["evolution"], "culled": 0.0, "ruined": 1.0, "age": None}
    assert configs["evolution"]["scars"]["enabled"] is False


def test_every_arm_played_the_same_and_alone_nobody_died_or_was_born(study: tuple[Path, str]) -> None:
    folder, said = study
    for name, run in runs(folder).items():
        assert budget_of(run, Arm("qnetwork", name, {})) == Budget(2, 16, 4, 32, 3)
        learns = run.read("generations")["loss"].is_not_null()
        assert learns.all() if name != "evolution" else not learns.any()
    assert f"every arm played {16 * 4 * 32 * 3:,} agent-bars" in said
    alone, both = (runs(folder)[name] for name in ("learning", "lamarckian"))
    assert (alone.read("births").height, alone.read("deaths").height) == (16, 0)
    assert both.read("births").height > 16


def test_all_arms_are_judged_on_the_same_markets_a_seed(study: tuple[Path, str]) -> None:
    table = table_of(study[0])
    assert table.columns[:6] == ["species", "arm", "edge", "seed", "player", "id"]
    assert table["arm"].unique(maintain_order=True).to_list() == list(ARMS)
    assert set(table["player"]) <= set(PLAYERS)
    one = table.filter(arm="evolution").select(pl.exclude("arm"))
    for player in ("hold", "oracle"):
        for name in ARMS:
            assert_frame_equal(
                table.filter(arm=name, player=player).select(pl.exclude("arm")), one.filter(player=player)
            )
        assert one.filter(player=player)["regime"].to_list() == [*REGIME_NAMES] * 2
    assert one.filter(player="oracle", regime="all")["log_return"].n_unique() == 2


def test_champions_are_those_of_the_archive_and_founders_its_first(study: tuple[Path, str]) -> None:
    for name, run in runs(study[0]).items():
        births = run.read("births").select("id", seed="island")
        archive = run.read("archive").join(births, on="id", how="left", maintain_order="left")
        rows = table_of(study[0]).filter(arm=name)
        for player, part in (("champion", archive), ("founder", archive.filter(generation=0))):
            want = part.group_by("seed", "regime", maintain_order=True).agg(pl.col("id").last())
            assert set(rows.filter(player=player).select("seed", "regime", "id").rows()) == set(want.rows())


def test_a_second_start_evolves_nothing_and_says_the_same(study: tuple[Path, str]) -> None:
    folder, said = study
    before = table_of(folder)
    code, again, complaint = arena(*words(folder))
    assert code == 0, complaint
    assert again.count("finished before") == 4
    assert "compiling" not in again
    assert_frame_equal(table_of(folder), before)
    assert said.splitlines()[-14:] == again.splitlines()[-14:]


def test_a_run_that_went_on_for_longer_and_one_in_which_somebody_died_are_told(study: tuple[Path, str]) -> None:
    arms = [Arm("forest", name, {}) for name in ("evolution", "learning")]
    budget = Budget(2, 16, 4, 32, 3)
    see_equal([(arm, budget) for arm in arms])
    with pytest.raises(UserError, match="forest, evolution went 3 generations and forest, learning went 7; give 7"):
        see_equal([(arms[0], budget), (arms[1], budget._replace(generations=7))])
    with pytest.raises(AssertionError, match="configured alike"):
        see_equal([(arms[0], budget), (arms[1], budget._replace(agents=8))])
    with pytest.raises(UserError, match=r"broker\.ruin: \d+ agents of the arm learning died"):
        budget_of(runs(study[0])["evolution"], Arm("qnetwork", "learning", {}))


def test_what_would_run_can_be_looked_at_first(tmp_path: Path) -> None:
    own = ["learning", f"runs_dir={tmp_path / 'runs'}", "--species", "forest", "species.forest.depth=3", "scars=both"]
    code, said, complaint = arena(*own, "learning.every=32", "species.qnetwork.hidden=[8]", "--cfg", "job")
    assert code == 0, complaint
    configs = list(yaml.safe_load_all(said))
    default = compose(["learning=none"])["learning"]["every"]
    assert [config["learning"]["every"] for config in configs] == [default, 32, 32, 32]
    for config in configs:
        assert set(config["species"]) - {"founders"} == {"forest"}
        assert config["species"]["forest"]["depth"] == 3
        assert config["evolution"]["replicates"] == 16
        assert config["evolution"]["agents"] == 128
        assert config["market"]["edge"] == 8.0
        assert config["scars"]["enabled"] is True
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (["--seeds", "1"], "--seeds: 1 is too small; at least 2"),
        (["--fresh", "0"], "--fresh: 0 is too small; at least 1"),
        (
            ["--species", "qnetwork,tree"],
            "--species: tree does not learn inside a life; those that do: qnetwork, forest",
        ),
        (
            ["species=forest"],
            "species=forest: the learning study gives its arms this key; say --species forest instead",
        ),
        (["learning=none"], "learning=none: the learning study gives its arms this key; leave it out"),
        (["market.edge=3"], "say --edge 3 instead"),
        (["archive=none"], "archive.enabled: without an archive there are no champions to judge"),
    ],
)
def test_what_cannot_be_judged_is_refused(tmp_path: Path, wrong: list[str], complaint: str) -> None:
    code, _, said = arena("learning", *OWN, f"runs_dir={tmp_path / 'runs'}", *wrong)
    assert code == 2
    assert complaint in said
    assert not (tmp_path / "runs").exists()
