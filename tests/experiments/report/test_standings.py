"""The report's standings against the table that a run shows at its end, from its last checkpoint."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from plainly import plainly

from arena import standings as arena_standings
from arena.founding import found
from arena.schemas import REGIME_NAMES
from experiments.configuration.study import oracle_path
from experiments.report.facts.champions import read_champions, read_traders
from experiments.report.facts.sources import Sources
from experiments.report.facts.standings import archive_of, standings
from experiments.report.facts.world import load_study, load_world
from experiments.runs.checkpoint import last_checkpoint, load_checkpoint
from experiments.runs.directory import RunDirectory

SPECIES = ["forest", "qnetwork"]


def test_standings_are_those_that_a_run_ends_with(small_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = Sources.of(RunDirectory(small_run))
    study = load_study(sources)
    assert study is not None
    world = load_world(sources, study)
    assert world is not None
    champions = read_traders(sources, read_champions(sources), study.settings)

    checkpoint = last_checkpoint(sources.directory)
    assert checkpoint is not None
    like = jax.eval_shape(lambda: found(world.plan, world.market.tape))
    archive = load_checkpoint(checkpoint, like).archive
    rebuilt = archive_of(world, champions, 1)
    np.testing.assert_array_equal(rebuilt.id, archive.id)
    np.testing.assert_array_equal(rebuilt.species, archive.species)
    for group, species in enumerate(np.asarray(archive.species)[0]):
        for mine, true in zip(rebuilt.traders[species][:3], archive.traders[species][:3], strict=True):
            jax.tree.map(lambda a, b, g=group: np.testing.assert_array_equal(a[0, g], b[0, g]), mine, true)

    with plainly():  # compiling takes nearly all of the time
        oracle = oracle_path(world.supply, world.market)
        table = arena_standings.standings(world.plan, world.market, jax.tree.map(jnp.asarray, archive), oracle)
        rows = standings(sources, world, champions, SPECIES)
    assert rows is not None
    assert [(row["regime"], row["player"]) for row in rows] == [
        (regime, player)
        for regime in range(len(REGIME_NAMES))
        for player in ("champion", "flat", "buy and hold", "oracle")
    ]
    known = {(row["regime"], row["player"], row["split"]): row for row in table.to_dicts()}
    holders = {regime: champion for champion in champions for regime in champion.scores}
    for row in rows:
        for split in ("train", "validation"):
            true, mine = known[REGIME_NAMES[row["regime"]], row["player"], split], row[split]
            assert row["id"] == true["id"]
            assert (mine["trades"], mine["bars"]) == (true["trades"], true["bars"])
            if true["bars"] < study.settings.fitness.bars:
                assert (mine["bp"], mine["sharpe"]) == (None, None)
            else:
                assert mine["bp"] == pytest.approx(1e4 * true["log_return"] / true["bars"], rel=1e-5)
                assert mine["sharpe"] == (None if true["sharpe"] is None else pytest.approx(true["sharpe"], rel=1e-5))
            assert mine["drawdown"] == pytest.approx(true["max_drawdown"], rel=1e-5)
        own = holders[row["regime"]].species if row["player"] == "champion" else None
        assert row["species"] == (None if own is None else SPECIES.index(own))
    fitness = sources.frame("fitness").filter(split="validation")
    for regime, champion in holders.items():
        (seen,) = fitness.filter(id=champion.id, generation=champion.generation, regime=REGIME_NAMES[regime]).to_dicts()
        mine = next(row for row in rows if row["regime"] == regime and row["player"] == "champion")["validation"]
        assert mine["bp"] == pytest.approx(1e4 * seen["log_return"] / seen["bars"], abs=2e-3)
        assert mine["trades"] == seen["trades"]
