"""Walking forward: what goes on where folds meet, what begins anew, what a fold is blind to, and stops at a border."""

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jsonschema
import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from small_runs import RECORDED, SMALL, arena, assert_same, crashing, evolve, without_compiling_again, without_table

from agents.population import NOBODY, Standing
from arena.api import Arena
from arena.fitness import CASES
from arena.founding import begin_fold, spread
from arena.sharding import on_host
from arena.state import ArenaState
from experiments.certificates.certificate import certify
from experiments.certificates.reading import SCHEMA
from experiments.champions.champions import find_champion
from experiments.champions.world import alone, load_world
from experiments.configuration.compose import compose
from experiments.configuration.study import Study, fold_market, load_supplies, make_study
from experiments.runs.champions import best_scores, fold_reached
from experiments.runs.directory import RunDirectory
from experiments.studies.seeds import see_judgeable
from markets.errors import UserError
from markets.folds import padded
from markets.preparation import Market
from markets.source import Supply
from markets.splits import fold_splits

WALK = (
    *(word for word in SMALL if word != "scars=both"),
    "scars=memory",
    "split=walk_forward",
    "split.folds=3",
    "split.generations=2",
    "terminal.progress=false",
)

pytestmark = pytest.mark.usefixtures("plainly_compiled", "cache", "quick")


def same(first: Any, second: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, first, second)


def kept(arena: Arena) -> ArenaState:
    copied: ArenaState = jax.tree.map(np.array, on_host(arena.state))
    return copied


class Walk:
    """The first two folds of the study in memory, with what stood where they met."""

    def __init__(self, study: Study, supplies: Sequence[Supply]) -> None:
        self.markets = [fold_market(study, supplies, fold) for fold in range(2)]
        self.arena = Arena(study.settings, self.markets[0]).run(2)
        self.before = kept(self.arena)
        self.arena.enter(self.markets[1])
        self.entered = kept(self.arena)
        self.end = kept(self.arena.run(2))


@pytest.fixture(scope="module")
def study() -> Study:
    return make_study(compose(list(WALK)))


@pytest.fixture(scope="module")
def reference(
    cache: Path, program: list[jax.stages.Compiled], tmp_path_factory: pytest.TempPathFactory
) -> RunDirectory:
    with pytest.MonkeyPatch.context() as patch:
        without_compiling_again(patch, program)
        without_table(patch)
        return evolve(tmp_path_factory.mktemp("runs"), study=WALK)[0]


@pytest.fixture(scope="module")
def walk(reference: RunDirectory, program: list[jax.stages.Compiled], study: Study) -> Walk:
    with pytest.MonkeyPatch.context() as patch:
        without_compiling_again(patch, program)  # whose shapes must fit every fold
        return Walk(study, load_supplies(study))


def test_all_live_on_but_nobody_has_a_standing_and_the_archive_is_empty(walk: Walk) -> None:
    before, entered = walk.before, walk.entered
    (old,), (new,) = before.populations, entered.populations
    same(new._replace(standing=()), old._replace(standing=()))
    assert (old.standing.generations > 0).any()
    same(new.standing, Standing.new(old.id.shape, CASES))
    assert (before.archive.id != NOBODY).any()
    assert (entered.archive.id == NOBODY).all()
    assert np.isneginf(entered.archive.score).all()
    same(entered._replace(populations=(), archive=()), before._replace(populations=(), archive=()))
    assert entered.archive.windows.shape[-1] == walk.markets[1].tape.validation.shape[-1]


def test_a_run_is_what_its_folds_are_one_after_another(walk: Walk, reference: RunDirectory) -> None:
    for name in RECORDED:
        table = reference.read(name)
        late = table["generation"] > (4 if name == "births" else 3)
        assert_frame_equal(table.filter(~late), walk.arena.table(name), check_exact=True)
        assert late.any()


def test_ids_go_on_and_rows_say_which_fold_they_are_of(reference: RunDirectory) -> None:
    births, fitness, archive = (reference.read(name) for name in ("births", "fitness", "archive"))
    assert births["id"].sort().to_list() == list(range(births.height))
    for table in (fitness, archive):
        assert (table["fold"] == table["generation"] // 2).all()
        assert set(table["fold"]) == {0, 1, 2}
    for fold in (1, 2):
        begun = archive.filter(fold=fold).group_by("regime", maintain_order=True).first()
        assert begun["previous_id"].is_null().all(), "nobody is left of what other windows chose"
    late = births.filter(pl.col("generation") >= 2)
    assert late["parent_id"].is_not_null().all()
    assert late.join(births, left_on="parent_id", right_on="id", how="anti").is_empty()


def test_champions_are_those_of_their_fold_and_of_the_last_where_none_is_named(
    reference: RunDirectory, study: Study
) -> None:
    archive = reference.read("archive")
    assert fold_reached(reference) == 2
    assert best_scores(reference) == best_scores(reference, 2)
    for fold in range(3):
        last = {row["regime"]: (row["score"], row["id"]) for row in archive.filter(fold=fold).iter_rows(named=True)}
        assert best_scores(reference, fold) == {(regime, 0): held for regime, held in last.items()}
        champion = find_champion(reference, "all", fold=fold)
        assert (champion.fold, champion.generation // 2, champion.id) == (fold, fold, last["all"][1])
        assert champion.path.exists()
        world = load_world(alone(reference.read_config()), reference.read_manifest()["data_hash"], fold)
        assert world.market.fold == fold
    assert find_champion(reference, "all").fold == 2
    code, said, _ = arena("show", str(reference.root))
    assert code == 0
    assert str(find_champion(reference, "all").id) in next(line for line in said.splitlines() if line.startswith("all"))


def test_what_validation_chose_in_one_fold_breeds_in_no_later_one(walk: Walk) -> None:
    """Whoever the archive holds where folds meet, with whatever score and genome: the next fold begins the same."""
    plan, windows = walk.arena.plan, walk.markets[1].tape.validation.shape[-1]
    stuffed = jax.tree.map(lambda leaf: np.full_like(leaf, 3), walk.before.archive)
    begun = begin_fold(plan, spread(plan, walk.before._replace(archive=stuffed)), windows)
    same(on_host(begun), walk.entered)


def test_no_bar_behind_a_folds_validation_is_read(walk: Walk, study: Study) -> None:
    """All bars there made NaN, its own piece and whatever follows: the same tables and the same state."""
    (supply,) = load_supplies(study)
    (bars,) = supply.bars
    episode = study.settings.episodes.bars + 1
    _, (rows,) = fold_splits([bars], study.settings.split, window=walk.markets[0].window, episode=episode)[1]
    assert walk.markets[1].segments[0].rows == rows
    blank = {name: np.array(getattr(bars, name)) for name in ("bid", "ask", "volume")}
    for side in blank.values():
        side[rows.validation.stop :] = np.nan
    other = Walk(study, [Supply([dataclasses.replace(bars, **blank)], supply.oracle)])
    for name in RECORDED:
        assert_frame_equal(walk.arena.table(name), other.arena.table(name), check_exact=True)
    same(other.end, walk.end)
    assert rows.validation.stop < rows.holdout.start < rows.holdout.stop < len(bars)


def test_validation_of_a_fold_never_reaches_those_who_breed_in_it(walk: Walk, study: Study) -> None:
    """All prices and features behind the second fold's training made NaN: the same lives, and nobody is chosen."""
    market = walk.markets[1]
    after, tape = market.segments[0].rows.train.stop, market.tape
    blank = {name: getattr(tape, name).at[after:].set(jnp.nan) for name in ("bid", "ask", "features", "atr")}
    alike = second(study, walk, dataclasses.replace(market, tape=tape._replace(**blank)))
    for name in ("births", "deaths", "scars"):
        assert_frame_equal(alike.table(name), of_second(walk, name), check_exact=True)
    trained = [table.filter(split="train") for table in (alike.table("fitness"), of_second(walk, "fitness"))]
    assert_frame_equal(*trained, check_exact=True)
    same(kept(alike).populations, walk.end.populations)
    assert alike.table("archive").is_empty()
    assert not of_second(walk, "archive").is_empty()


def test_padding_is_never_read(walk: Walk, study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN in its rows, and windows that begin in them: the same bits."""
    market = walk.markets[0]
    rows, windows = len(market.time), len(market.tape.train.rows)
    true_put = Arena._put

    def spoilt(self: Arena, market: Market) -> Any:
        tape = true_put(self, market)
        assert tape.segment.shape[0] > rows
        assert tape.train.rows.shape[0] > windows
        nan = {name: getattr(tape, name).at[rows:].set(jnp.nan) for name in ("bid", "ask", "features", "atr", "days")}
        return tape._replace(train=tape.train._replace(rows=tape.train.rows.at[windows:].set(rows)), **nan)

    monkeypatch.setattr(Arena, "_put", spoilt)
    played = Arena(study.settings, market).run(2)
    for name in RECORDED:
        table = walk.arena.table(name)
        first = table.filter(pl.col("generation") <= (2 if name == "births" else 1))
        assert_frame_equal(played.table(name), first, check_exact=True)
    same(kept(played), walk.before)


def second(study: Study, walk: Walk, market: Market) -> Arena:
    """The second fold alone, from where it was entered."""
    return Arena(study.settings, market, jax.tree.map(jnp.asarray, walk.entered)).run(2)


def of_second(walk: Walk, name: str) -> pl.DataFrame:
    """The rows of a table that the second fold made."""
    return walk.arena.table(name).filter(pl.col("generation") > (2 if name == "births" else 1))


def test_each_folds_champions_are_certified_on_its_piece_alone(
    reference: RunDirectory, study: Study, tmp_path: Path
) -> None:
    run = RunDirectory(tmp_path / "runs" / reference.root.name)
    shutil.copytree(reference.root, run.root)
    for part in run.table("archive").glob("*.parquet"):  # nobody came into the archive of the fold in the middle
        pl.read_parquet(part).filter(pl.col("fold") != 1).write_parquet(part)
    values = certify(run, plain=True).values
    jsonschema.validate(values, json.loads(SCHEMA.read_text()), cls=jsonschema.Draft202012Validator)
    assert values["holdout"]["folds"] == 3
    supplies = load_supplies(study)
    (bars,), bounds = supplies[0].bars, []
    for fold in range(3):
        rows = fold_market(study, supplies, fold).segments[0].rows.holdout
        bounds.append((bars.time[rows.start], bars.time[rows.stop - 1]))
        held = {regime: own for (regime, _), (_, own) in best_scores(run, fold).items()}
        said = {own["member"]: own["folds"][fold]["id"] for own in values["family"] if own["member"] != "router"}
        assert said == {name: held.get(name) for name in said}
    spans = [np.datetime64(values["holdout"][end].removesuffix("Z")) for end in ("first", "last")]
    assert spans == [bounds[0][0], bounds[-1][1]]
    assert values["holdout"]["bars"] <= sum(
        len(fold_market(study, supplies, fold).segments[0].rows.holdout) - 1 for fold in range(3)
    )
    days = np.asarray([np.datetime64(day) for day in values["curves"]["day"]])
    assert days.tolist() == sorted(set(days.tolist()))
    assert days[0] >= bounds[0][0].astype("datetime64[D]")
    assert days[-1] == bounds[-1][1].astype("datetime64[D]")
    assert "nobody holds a place in fold 1 (of 3, counted from 0): every member is flat there" in values["reasons"]
    there = (days >= bounds[1][0]) & (days < bounds[1][1].astype("datetime64[D]"))
    assert there.sum() > 1
    for own in values["curves"]["members"].values():
        assert not np.diff(np.asarray(own["equity"])[there]).any()


def test_a_run_killed_before_at_and_behind_a_border_goes_on_to_the_same_bits(
    reference: RunDirectory, tmp_path: Path
) -> None:
    run = RunDirectory(tmp_path / reference.root.name)
    words = ["evolve", *WALK, f"runs_dir={tmp_path}", "record.flush=1", "record.checkpoint=1"]
    for generation in (1, 2, 3):
        with crashing(generation):
            code, said, _ = arena(*words)
        assert code == 130
        assert max(path.stem for path in run.checkpoints.iterdir()) == f"{generation:08d}"
        words = ["resume", str(run.root)]
    code, said, complaint = arena(*words)
    assert code == 0, complaint
    assert "going on after 3 generations" in said
    assert_same(reference, run)
    assert [session["generation"] for session in run.read_manifest()["sessions"]] == [0, 1, 2, 3]


def test_more_generations_lengthen_the_last_fold(reference: RunDirectory, tmp_path: Path) -> None:
    shutil.copytree(reference.root, tmp_path / reference.root.name)
    run, said = evolve(tmp_path, "evolution.generations=7", study=WALK)
    assert run.root.name == reference.root.name
    assert "3 folds of 2 generations, the last of 3" in said
    assert set(run.read("fitness").filter(pl.col("generation") >= 4)["fold"]) == {2}
    for name in RECORDED:
        table = reference.read(name)
        assert_frame_equal(run.read(name).head(table.height), table, check_exact=True)


def test_fewer_generations_than_the_folds_need_are_refused(tmp_path: Path) -> None:
    code, _, complaint = arena("evolve", *WALK, f"runs_dir={tmp_path}", "evolution.generations=5")
    assert code == 2
    assert complaint.count("\n") == 1
    assert "evolution.generations: 5 generations do not fill 3 folds of 2; give 6 or more, or fewer" in complaint
    assert not any(tmp_path.iterdir())


def test_replicates_on_markets_of_their_own_are_folded_too() -> None:
    made = make_study(compose([*WALK, "evolution.replicates=2", "split.anchored=true"]))
    supplies = load_supplies(made)
    markets = [fold_market(made, supplies, fold) for fold in (0, 2)]
    for market in markets:
        assert len(market.scalers) == len(supplies) == 2
        assert all(segment.rows.train.start == segment.first for segment in market.segments)
    shapes = [jax.tree.map(jnp.shape, padded(market.tape, market.room)) for market in markets]
    assert shapes[0] == shapes[1]


def test_a_study_of_many_runs_is_of_one_split() -> None:
    with pytest.raises(UserError, match=r"split\.folds: the edge study judges runs of one split; leave split=holdout"):
        see_judgeable(make_study(compose(list(WALK))), "edge", "")
