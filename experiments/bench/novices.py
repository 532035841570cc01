"""Bundles of agents that never learned anything, of the default study: what a runner is timed with."""

import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl

from arena.founding import found
from arena.frames import founder_frame
from arena.rollout import Trader
from arena.schemas import TABLES
from arena.tally import REGIMES
from experiments.bundles.export import export
from experiments.champions.world import alone, load_world
from experiments.configuration.compose import compose
from experiments.runs.directory import RunDirectory
from experiments.runs.identity import data_hash
from experiments.runs.trees import save_tree

__all__ = ["novice_bundle"]


def novice_bundle(species: str, out: Path, *overrides: str) -> Path:
    """The bundle of the first founder of a default study's population, as if it had won the archive at once.

    Args:
        species: which.
        out: the folder to make.
        overrides: of the study.

    Returns:
        The folder.
    """
    config = compose([f"species={species}", "evolution.agents=8", "evolution.islands=1", *overrides])
    world = load_world(alone(config), None)
    (population,) = jax.device_get(found(world.plan, world.market.tape)).populations
    own = population.genome, population.genes, population.memory
    genome, genes, memory = jax.tree.map(lambda leaf: leaf[0, 0], own)
    with tempfile.TemporaryDirectory(prefix="arena-bench-") as folder:
        run = RunDirectory(Path(folder) / "novice")
        run.create(config)
        run.note(
            run_id="0" * 12,
            state="finished",
            generations=1,
            features=list(world.market.features),
            data_hash=data_hash(world.supply.bars),
        )
        about = {"id": "0", "species": species, "generation": "0"}
        save_tree(run.genomes / "0.safetensors", Trader(genome, genes, memory, jnp.zeros(REGIMES)), about)
        won = {"generation": [0], "fold": [0], "regime": ["all"], "id": [0], "score": [0.0]}
        _part(run, "archive", pl.DataFrame({**won, "previous_id": [None], "previous_score": [None]}))
        _part(run, "births", founder_frame(np.asarray(population.id), species))
        return export(run, "all", out)


def _part(run: RunDirectory, name: str, table: pl.DataFrame) -> None:
    table.cast(pl.Schema(TABLES[name])).write_parquet(run.table(name) / "00000000-00000000-0.parquet")
