"""Tiny studies run for real: arms do what they say, a cut study goes on to the same bits, devices do not matter."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
from plainly import plainly
from polars.testing import assert_frame_equal

from arena import life
from experiments.cli import main
from experiments.runs.identity import source_hash
from experiments.scars import generation, study
from experiments.scars.arms import no_events
from experiments.scars.measures import WHOLE
from experiments.scars.outcomes import outcomes
from experiments.scars.plan import ARMS, Arm, ScarPlan, make_parts
from experiments.scars.program import make_program
from experiments.scars.records import KEYS, NO_EVENTS, Run
from experiments.scars.results import find, load
from experiments.scars.running import Engine, Tables, begun_elsewhere, compute, open_folder, read_parts, waves
from experiments.scars.worlds import FEATURES, draw_world
from markets.errors import UserError

PLAN = ScarPlan(
    seeds=2,
    learning=False,  # which takes twice as long to compile; one test below has it on
    generations=6,
    agents=12,
    bars=96,
    hidden=(6, 4),
    scars=1,
    births=1,
    strength=4.0,
    batch=4,
    every=2,
)


ON_DEVICES = """
import jax
jax.config.update("jax_num_cpu_devices", 2)
from polars.testing import assert_frame_equal
from experiments.scars.plan import Arm, ScarPlan
from experiments.scars.records import NO_EVENTS, Run
from experiments.scars.running import Engine

runs = [Run(0, "P", arm, 4.0) for arm in (Arm.NONE, Arm.SCARS, Arm.MEMORY)]
one, two = (Engine({plan!r}, devices).run(runs, NO_EVENTS) for devices in (1, 2))
assert_frame_equal(one.generations, two.generations)
assert_frame_equal(one.events, two.events)
"""


@pytest.fixture(scope="module")
def engine() -> Engine:
    """One program for all tests of this module."""
    with plainly():
        made = Engine(PLAN, 1)
        made.run([Run(0, "P", Arm.NONE, 4.0)], NO_EVENTS)  # compiles it
    return made


@pytest.fixture(scope="module")
def whole(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tables]:
    """All runs of the study."""
    folder = tmp_path_factory.mktemp("whole")
    for wave in waves(PLAN):
        tables = compute(engine, wave, folder)
    return folder, tables


class CutError(Exception):
    """Somebody pulled the plug."""


def test_a_cut_study_goes_on_to_the_same_bits(engine: Engine, whole: tuple[Path, Tables], tmp_path: Path) -> None:
    def pull(done: int, of: int) -> None:
        if done >= 8:
            raise CutError

    first, second = (wave[:count] for wave, count in zip(waves(PLAN), (12, 2), strict=True))
    with pytest.raises(CutError):
        compute(engine, first, tmp_path, pull)
    assert len(read_parts(tmp_path).done) == 8
    (tmp_path / "0002-events.parquet").write_bytes(b"half a part, without its generations")
    for wave in (first, second):
        tables = compute(engine, wave, tmp_path)
    assert len(tables.done) == 14
    runs = pl.DataFrame(list(tables.done), schema=NO_EVENTS.schema, orient="row")
    for own, other in zip(tables, whole[1], strict=True):
        order = [*KEYS, "generation", *(["event"] if "event" in own.columns else [])]
        assert_frame_equal(own.sort(order), other.join(runs, on=KEYS, how="semi").sort(order))


def test_nothing_is_computed_twice(engine: Engine, whole: tuple[Path, Tables], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "run", lambda *_: pytest.fail("computed again"))
    assert compute(engine, waves(PLAN)[0], whole[0]).done == whole[1].done


def test_a_sham_without_events_is_the_arm_none(engine: Engine) -> None:
    nobody = NO_EVENTS
    runs = [Run(5, "P", Arm.NONE, 4.0), Run(5, "P", Arm.SHAM, 4.0)]
    generations, events = engine.run(runs, nobody)
    none, sham = (generations.filter(arm=arm).drop("arm", "offered", "events") for arm in ("none", "sham"))
    assert_frame_equal(none, sham)
    assert events.filter(arm="sham").is_empty()


def test_arms_of_damage_hit_as_many_units_of_the_same_layers(whole: tuple[Path, Tables]) -> None:
    """Until the first event arms have lived alike, so it is the same event; only which units are hit differs."""
    events = whole[1].events
    layer = np.repeat([0, 1], PLAN.hidden)
    for seed in (0, 1):
        first = {
            arm: events.filter(seed=seed, world="P", arm=arm).sort("generation", "event").row(0, named=True)
            for arm in ARMS
        }
        told = first["scars"]
        assert len(told["hit"]) == np.ceil(np.float32(told["severity"]) * 0.25 * 10)
        for arm in ("scars", "permuted", "inverted", "sham"):
            own = first[arm]
            assert own["generation"] == told["generation"]
            assert own["layers"] == told["layers"] == np.bincount(layer[own["hit"]], minlength=2).tolist()
        assert first["inverted"]["hit"] != told["hit"]
        assert first["sham"]["id"] != told["id"]
        for arm in ("none", "dormant", "shrink", "memory", "culling"):
            assert first[arm]["hit"] == []
    hit = events.with_columns(own=pl.col("hit").list.len(), asked=pl.col("layers").list.sum())
    damaging = hit.filter(pl.col("arm").is_in(["scars", "permuted", "inverted", "sham"]))
    assert (damaging["own"] == damaging["asked"]).all()


def test_shams_are_given_their_pairs_events(whole: tuple[Path, Tables]) -> None:
    pair = whole[1].events.filter(arm="scars").select("seed", "world", "generation", "event", "layers", "severity")
    sham = whole[1].events.filter(arm="sham").select(pair.columns)
    assert 0 < sham.height <= pair.height
    assert sham.join(pair, on=["seed", "world", "generation", "event", "severity"]).height == sham.height


def test_arms_differ_from_doing_nothing_once_they_act(whole: tuple[Path, Tables]) -> None:
    generations = whole[1].generations.filter(world="P").sort("seed", "generation")
    none = generations.filter(arm="none")
    for arm in set(ARMS) - {"none"}:
        own = generations.filter(arm=arm)
        assert (own["calm"] != none["calm"]).any(), arm
        begun = own.filter(generation=0).select("calm", "ruined", "before")
        assert_frame_equal(begun, none.filter(generation=0).select("calm", "ruined", "before"))


def test_with_learning_the_program_is_the_same_to_whoever_calls_it(engine: Engine) -> None:
    """Traced but not compiled, which would cost as much as all else here; the next test compiles a generation."""
    data = engine.data([Run(0, "P", Arm.SCARS, 4.0)], NO_EVENTS)
    learning = jax.eval_shape(make_program(dataclasses.replace(PLAN, learning=True), 1), data)
    assert learning == jax.eval_shape(engine.program, data)


def test_agents_learn_as_often_as_is_recorded_and_are_damaged_too(
    whole: tuple[Path, Tables], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two generations with learning, in which bars are counted where they are played and updates where Adam does."""
    plan = dataclasses.replace(PLAN, learning=True)
    parts = make_parts(plan, FEATURES)
    bars: dict[str, list[int]] = {"greedy": [], "learning": []}
    roll_out, play = generation.roll_out, life.play

    def counted(name: str, kept: jax.Array) -> None:
        jax.debug.callback(lambda each: bars[name].append(each.size), kept)

    def rolled_out(*args: Any, **options: Any) -> Any:
        tally, trace = roll_out(*args, **options)
        assert trace is not None
        counted("greedy", trace.equity)
        return tally, trace

    def played(*args: Any) -> Any:
        stretch, kept = play(*args)
        counted("learning", kept.reward)
        return stretch, kept

    monkeypatch.setattr(generation, "roll_out", rolled_out)
    monkeypatch.setattr(life, "play", played)
    sizes: Any = {name: getattr(plan, name) for name in ("generations", "episodes", "bars", "crashes", "rare")}
    world = jax.tree.map(jnp.asarray, draw_world(0, "P", strength=4.0, **sizes))
    nothing = jax.tree.map(jnp.asarray, no_events((), plan.scars, len(plan.hidden)))

    def run(arm: Any) -> Any:
        def step(agents: Any, number: Any) -> Any:
            after, record = generation.turn(plan, parts, arm, seed, world, nothing, agents, number)
            return after, (record, after.population)

        seed = jnp.uint32(0)
        begun = generation.found(plan, parts, seed)
        return begun.population, jax.lax.scan(step, begun, jnp.arange(2, dtype=jnp.int32))[1]

    with plainly(), jax.default_matmul_precision("highest"):
        program = jax.jit(run)
        founders, (record, population) = jax.device_get(program(jnp.int32(Arm.SCARS)))
        jax.effects_barrier()
        told = {name: sum(each) for name, each in bars.items()}
        _, unscarred = jax.device_get(program(jnp.int32(Arm.NONE)))[1]

    assert told == {"greedy": 2 * 12 * 96 * 16, "learning": 2 * 12 * 96 * 16}
    assert record.acted.sum() == sum(told.values())
    count = population.learner.optimiser.count  # nobody has died yet
    assert count.tolist() == [[6] * 12, [12] * 12]
    assert record.updates.tolist() == count.sum(1).tolist()[:1] * 2
    assert (record.lost > 0).all()
    assert (unscarred.genome.bias[0] != founders.genome.bias).all()
    measured = ["ruined", "before", "calm", "events"]  # which comes before what is learned
    row = whole[1].generations.filter(generation=0, seed=0, world="P", arm="scars").row(0, named=True)
    own = (record.ruined[0], record.before[0] / WHOLE, record.calm[0] / WHOLE, record.events.made[0].sum())
    assert list(own) == [row[name] for name in measured]

    assert record.events.made[0].all()
    (slot,) = record.events.slot[0]
    hit = record.hits[0, 0] > 0
    assert hit.any()
    bias = np.concatenate([population.genome.bias[0, slot], population.genome.hidden[0].bias[0, slot]])
    moments = [leaf[0, slot] for leaf in population.learner.optimiser.mu]  # market, account, bias, hidden weight, bias
    assert ((bias == 0) == hit).all()
    assert (np.concatenate([moments[2], moments[4]])[hit] == 0).all()
    assert (moments[0][:, hit[:6]] == 0).all()
    rest = np.arange(12) != slot
    assert (population.genome.bias[0, rest] == unscarred.genome.bias[0, rest]).all()
    assert (population.genome.bias[1] != population.genome.bias[0]).any(axis=1).all()  # the scarred learn on


@pytest.mark.soak  # a process that compiles twice; `arena/test_devices.py` asks the same of a run
def test_the_same_bits_on_one_device_and_on_two() -> None:
    """In a process of its own, since devices are counted once."""
    done = subprocess.run(
        [sys.executable, "-c", ON_DEVICES.format(plan=PLAN)],
        env={**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "true"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_study_ends_with_table_pictures_and_page(
    engine: Engine, whole: tuple[Path, Tables], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "Engine", lambda *_: engine)
    open_folder(tmp_path, PLAN)
    shutil.copytree(whole[0], tmp_path / "runs")  # all runs are there
    found = study.carry_out(PLAN, tmp_path)
    assert found is not None
    assert found.runs.height == 2 * 2 * len(ARMS)
    for name in ("results.parquet", "generations.parquet", "events.parquet", "summary.json", "scars.md"):
        assert (tmp_path / name).is_file()
    assert_frame_equal(load(tmp_path).runs, found.runs)
    assert_frame_equal(outcomes(found.generations), found.runs)
    text = (tmp_path / "scars.md").read_text(encoding="utf-8")
    assert "nan" not in text
    assert ("**Scars help**" in text) == found.verdict.scars_help
    assert "`arena scars --seeds 2 --strength 4 --without-learning --agents 12 --generations 6`" in text
    for picture in ("scars-differences.svg", "scars-ruin.svg"):
        assert (tmp_path / "images" / picture).read_text(encoding="utf-8").count("<svg") == 1


def test_results_of_other_settings_are_not_mixed(tmp_path: Path) -> None:
    open_folder(tmp_path, PLAN)
    assert open_folder(tmp_path, dataclasses.replace(PLAN, seeds=9, batch=2)).seeds == 9
    with pytest.raises(UserError, match="holds results of births=1; name another folder"):
        open_folder(tmp_path, dataclasses.replace(PLAN, births=2))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="no study of scars"):
        open_folder(tmp_path / "other", PLAN)


def test_a_study_goes_on_under_another_source_with_a_note(tmp_path: Path) -> None:
    open_folder(tmp_path, PLAN)
    note = tmp_path / "study.json"
    told = json.loads(note.read_text(encoding="utf-8"))
    assert told["source_hash"] == source_hash()
    assert not begun_elsewhere(tmp_path)
    note.write_text(json.dumps({**told, "source_hash": "0" * 64}), encoding="utf-8")
    assert open_folder(tmp_path, PLAN) == PLAN
    assert begun_elsewhere(tmp_path)
    del told["source_hash"]  # as before it was noted
    note.write_text(json.dumps(told), encoding="utf-8")
    assert not begun_elsewhere(tmp_path)


@pytest.mark.parametrize("strength", ["nan", "inf", "0", "-2"])
def test_a_strength_is_finite_and_above_0(strength: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scars", "--check", f"--strength={strength}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--strength" in line


def test_a_study_with_learning_is_not_shown_beside(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], whole: tuple[Path, Tables]
) -> None:
    learned = dataclasses.replace(PLAN, learning=True)
    found = find(learned, pl.DataFrame(), whole[1])
    monkeypatch.setattr(study, "load", lambda _: found)
    assert main(["scars", "--check", "--beside", "elsewhere"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "in elsewhere agents learn" in line
