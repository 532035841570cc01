"""Founding by models of other libraries: what must be there, and the brains that the founders of a run begin with."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np

from arena.plan import Plan
from arena.settings import Settings
from experiments.founders.brains import brain
from experiments.founders.files import named_files
from experiments.founders.libraries import LIBRARIES, Source
from experiments.founders.training import SOURCES, TrainingSettings, founding_models
from genomes.forest import Forest, ForestSpecies
from genomes.species import Genome
from markets.errors import UserError
from markets.preparation import Market
from markets.settings import shown

__all__ = ["BUNDLE", "RANDOM", "check_founders", "founding_brains", "in_proportion", "suited_layout"]

RANDOM = "random"
"""Where founders come from unless somebody says otherwise: every brain is drawn."""

BUNDLE = "bundle"
"""Where founders are champions of earlier runs; see `experiments.founders.bundles`, which looks at these itself."""

_FOREST = "forest"

_MOST = 20
"""Doublings or halvings at most."""


def check_founders(
    source: object, species: Mapping[str, Any], settings: TrainingSettings, *, founded: bool = False
) -> str:
    """See that founders can come from where they are wanted from, before anything is made ready.

    Args:
        source: the key `species.founders`.
        species: that take part, by name.
        settings: the group `training`.
        founded: whether founders are there already, so that no library and no file has to be.

    Returns:
        The source.

    Raises:
        UserError: no such source, no forests to be founded, a library or a file that is not there.
    """
    if source == RANDOM:
        return RANDOM
    if source == BUNDLE:
        return BUNDLE
    if not isinstance(source, str) or source not in SOURCES:
        raise UserError(f"species.founders: {shown(source)} is not one of {', '.join((RANDOM, *SOURCES, BUNDLE))}")
    if _FOREST not in species:
        raise UserError(f"species.founders: {source} founds forests, and none take part; add species=forest")
    if founded:
        return source
    if source != "file":
        library = LIBRARIES[cast(Source, source)]
        if importlib.util.find_spec(library.module) is None:
            raise UserError(
                f"species.founders: {library.name} is not installed; pip install 'lineage-arena[trees]', or choose "
                f"{RANDOM}"
            )
        return source
    for path in named_files(settings.path):
        try:
            file, folder = Path(path).is_file(), Path(path).is_dir()
        except OSError as error:  # a name that is too long, or a folder above that nobody may look into
            raise UserError(f"training.path: {path}: cannot be read ({error.strerror}); name a saved model") from None
        if folder:
            raise UserError(f"training.path: {path}: is a folder; name a file in it")
        if not file:
            raise UserError(f"training.path: {path}: no such file")
    return source


def suited_layout(source: str, forest: Mapping[str, Any] | None) -> dict[str, Any]:
    """A forest's settings with the layout that the founders' trees need, where nobody asked for one.

    An empty group (None) is all defaults.
    """
    forest = forest or {}
    named = forest.get("layout") is not None
    return {**forest, "layout": forest.get("layout") if named or source in (RANDOM, "catboost", BUNDLE) else "ordinary"}


def founding_brains(
    source: str, settings: Settings, training: TrainingSettings, market: Market, plan: Plan
) -> tuple[tuple[Genome | None, ...], list[str]]:
    """The brains that founders begin with.

    Args:
        source: one of `SOURCES`.
        settings: of the evolution.
        training: how models are made, or where they are.
        market: they are trained on, each replicate's own part of it alone.
        plan: of the run.

    Returns:
        For each species the brains, leaves [markets, models, …] in NumPy, or None; and what they are, a line each.

    Raises:
        UserError: a library that is not there, too few examples, models that a genome has no room for.
    """
    place = plan.names.index(_FOREST)
    species = plan.rollouts[place].species
    assert isinstance(species, ForestSpecies)
    own, notes = [], []
    for replicate in range(len(market.scalers)):
        models, note = founding_models(
            source,
            market,
            settings.broker,
            training,
            depth=species.settings.depth,
            trees=species.settings.market_trees,
            seed=(settings.seed + replicate) % 2**32,
            replicate=replicate,
        )
        names = _named(source, training, len(models))
        made = [in_proportion(brain(m, species, whose=w), species) for m, w in zip(models, names, strict=True)]
        own.append(jax.tree.map(lambda *leaves: np.stack(leaves), *made))
        notes.append(note)
    brains = jax.tree.map(lambda *leaves: np.stack(leaves), *own)
    return tuple(brains if index == place else None for index in range(len(plan.names))), notes


def in_proportion(genome: Forest, species: ForestSpecies) -> Forest:
    """The genome with all it says doubled or halved until it sets actions about as far apart as new leaves deviate.

    Compared are, over the trees that say anything, the root mean square of each leaf's deviation from its mean over the
    actions, and the standard deviation of one value of a new leaf. In new trees the former is √(2/3) = 0.82 of the
    latter, so founders come out 1.2 times as wide as those, give or take the rounding to a power of two.

    What it decides is the same, to the bit, for a power of two rounds nothing. But a mutation's step, a tree that grows
    anew and the leaves of other parents then weigh about as much beside it as beside a forest that grew here.
    """
    leaf = np.concatenate([genome.market.leaf, genome.state.leaf])
    apart = leaf - leaf.mean(axis=-1, keepdims=True)
    spoken = np.sqrt(np.mean(apart[np.abs(apart).max(axis=(1, 2)) > 0] ** 2)) if apart.any() else 0.0
    if not (spoken > 0 and np.isfinite(spoken)):
        return genome
    factor = np.float32(2.0 ** np.clip(np.round(np.log2(species.leaf_scale / spoken)), -_MOST, _MOST))
    told = jax.tree.map(lambda part: part * factor, (genome.bias, genome.market.leaf, genome.state.leaf))
    if not all(np.isfinite(part).all() for part in told):
        return genome
    bias, market, state = told
    return genome._replace(
        bias=bias, market=genome.market._replace(leaf=market), state=genome.state._replace(leaf=state)
    )


def _named(source: str, training: TrainingSettings, count: int) -> list[str]:
    """Whose each model is, for messages."""
    return named_files(training.path) if source == "file" else [source] * count
