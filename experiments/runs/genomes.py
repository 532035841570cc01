"""Genomes of champions in a run's directory: where each lies, and what its file holds."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from agents.memory import MemorySettings, forget
from arena.rollout import Trader
from arena.tally import REGIMES
from experiments.runs.directory import RunDirectory
from experiments.runs.trees import generation_of
from genomes.genes import Genes
from genomes.species import Species, genome_form
from markets.errors import UserError

__all__ = ["champion_file", "trader_form"]


def champion_file(directory: RunDirectory, identity: int, generation: int) -> Path:
    """Where a champion lies as it was when it improved the archive; see `Recorder` for how it came there.

    Args:
        directory: of the run.
        identity: of the agent.
        generation: when it improved the archive.

    Raises:
        UserError: the file is gone, or damaged.
    """
    path = directory.genomes / f"{identity}.safetensors"
    if path.exists() and generation_of(path) == generation:
        return path
    later = directory.genomes / f"{identity}-{generation}.safetensors"
    if not later.exists():
        raise UserError(f"{later if path.exists() else path}: missing; bring it back, or run the study anew")
    return later


def trader_form(species: Species, memory: MemorySettings) -> Trader:
    """What lies in a champion's file, by shapes and types alone."""
    number = jax.ShapeDtypeStruct((), jnp.float32)
    genes: Any = Genes._make(number for _ in Genes._fields)
    form = jax.eval_shape(lambda: forget((), memory.moments, species.shape.features))
    trust: Any = jax.ShapeDtypeStruct((REGIMES,), jnp.float32)
    return Trader(genome_form(species), genes, form, trust)
