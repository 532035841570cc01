"""Founders that come from other libraries: trained once, kept in the run's directory, and taken from there again."""

import json
from typing import Any

import jax
import jax.numpy as jnp

from arena.founding import found
from arena.plan import Plan
from arena.state import ArenaState
from experiments.configuration.study import Study
from experiments.founders.founding import founding_brains
from experiments.runs.directory import RunDirectory
from experiments.runs.trees import load_tree, metadata_of, save_tree
from experiments.terminal import say
from genomes.species import Genome, genome_form
from markets.errors import UserError
from markets.preparation import Market

__all__ = ["founded", "load_founders"]


def founded(study: Study, plan: Plan, market: Market, directory: RunDirectory) -> ArenaState:
    """The state before the first generation of a run whose founders come from other libraries.

    Raises:
        UserError: they cannot be made, or the file that keeps them is damaged.
    """
    if directory.founders.exists():
        say(f"founders as they were made: {directory.founders}")
        given = load_founders(directory, plan)
    else:
        say(f"founding by {study.founders} …")
        given, notes = founding_brains(study.founders, study.settings, study.training, market, plan)
        for note in dict.fromkeys(notes):
            say(note)
        models = {name: _models(brains) for name, brains in zip(plan.names, given, strict=True) if brains is not None}
        kept = {name: brains for name, brains in zip(plan.names, given, strict=True) if brains is not None}
        save_tree(directory.founders, kept, {"generation": "0", "models": json.dumps(models), "source": study.founders})
    return found(plan, market.tape, given)


def load_founders(directory: RunDirectory, plan: Plan) -> tuple[Genome | None, ...]:
    """The brains that a run's founders began with, by species, leaves [markets, models, …]; None for those drawn.

    Raises:
        UserError: the file is damaged, or of another configuration.
    """
    remedy = "delete it, and founders are made anew"
    try:
        models = json.loads(metadata_of(directory.founders)["models"])
        form = {name: _several(plan, name, *map(int, models[name])) for name in plan.names if name in models}
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{directory.founders}: damaged, it does not say whose brains it holds; {remedy}") from error
    kept, _ = load_tree(directory.founders, form, remedy=remedy)
    return tuple(kept.get(name) for name in plan.names)


def _models(brains: Genome) -> tuple[int, int]:
    """Markets, and models of each."""
    markets, models = jax.tree.leaves(brains)[0].shape[:2]
    return markets, models


def _several(plan: Plan, name: str, markets: int, models: int) -> Any:
    """The form of so many brains."""
    species = plan.rollouts[plan.names.index(name)].species
    return jax.eval_shape(
        lambda: jax.tree.map(lambda leaf: jnp.zeros((markets, models, *leaf.shape), leaf.dtype), genome_form(species))
    )
