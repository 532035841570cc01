"""Runs of forests are kept, stopped and gone on with as any others are; their champions' genomes can be read back."""

from pathlib import Path

import jax
import numpy as np
import pytest
from small_runs import SMALL_FORESTS, arena, assert_same, crashing, evolve

from experiments.champions.champions import find_champion
from experiments.forests.champions import read_forest
from experiments.runs.directory import RunDirectory

QUIET = "terminal.progress=false"

pytestmark = [pytest.mark.usefixtures("plainly_compiled", "cache", "quick"), pytest.mark.slow]


def test_a_run_of_forests_that_is_stopped_goes_on_to_the_same_tables(tmp_path: Path) -> None:
    whole, _ = evolve(tmp_path / "whole", QUIET, study=SMALL_FORESTS)
    with crashing(4):
        words = (*SMALL_FORESTS, QUIET, f"runs_dir={tmp_path}/cut", "record.flush=1", "record.checkpoint=3")
        assert arena("evolve", *words)[0] == 130
    cut = RunDirectory(tmp_path / "cut" / whole.root.name)
    code, said, complaint = arena("resume", str(cut.root))
    assert code == 0, complaint
    assert "going on after 3 generations" in said
    assert_same(whole, cut)

    ids = set(cut.read("archive")["id"])
    assert ids
    for identity in ids:
        read = read_forest(cut, find_champion(cut, str(identity)))
        market, state = read.trader.genome.market, read.trader.genome.state
        assert (market.leaf.shape, state.leaf.shape) == ((3, 4, 3), (1, 4, 3))
        assert market.feature.max() < read.species.shape.features
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(read.trader.genome))
