"""Founders that come from elsewhere: made once, kept in the run's directory, and taken from there again."""

import functools
import json
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from arena.founding import found
from arena.plan import Plan
from arena.state import ArenaState
from experiments.configuration.study import Study
from experiments.founders.bundles import found_from, open_bundles
from experiments.founders.founding import BUNDLE, founding_brains
from experiments.founders.seen import Seen, made_of, overlapping, seen_words
from experiments.runs.directory import RunDirectory
from experiments.runs.origins import ORIGINS_KEY, ancestors_saw, origins_text, write_origins
from experiments.runs.trees import load_tree, metadata_of, save_tree
from experiments.terminal import say
from genomes.genes import Genes
from genomes.species import Genome, genome_form
from markets.bars import Bars
from markets.errors import UserError
from markets.preparation import Market, Segment

__all__ = ["founded", "load_founders"]

_GENES = "genes."
"""Before the name of a species, whose founders' genes came with their brains."""


def founded(study: Study, plan: Plan, market: Market, directory: RunDirectory, bars: Sequence[Bars] = ()) -> ArenaState:
    """The state before the first generation of a run whose founders come from elsewhere.

    Args:
        study: of the run.
        plan: of the run.
        market: of its first fold.
        directory: of the run.
        bars: of each symbol, of every replicate; all of them, to see whether ancestors of founders know the holdout.

    Raises:
        UserError: they cannot be made, or the file that keeps them is damaged.
    """
    if directory.founders.exists():
        say(f"founders as they were made: {directory.founders}")
        given = load_founders(directory, plan)
        if study.founders == BUNDLE:
            write_origins(directory)
            _tell_seen(study, market, bars, ancestors_saw(directory))
        return found(plan, market.tape, given, _load_genes(directory, plan))
    say(f"founding by {study.founders} …")
    genes: tuple[Genes | None, ...] = ()
    lines: dict[str, str] = {}
    if study.founders == BUNDLE:
        made = found_from(open_bundles(study.bundle), study.settings, market, plan)
        given, genes, notes = made.brains, made.genes, made.notes
        lines = {ORIGINS_KEY: origins_text(made, plan)}
    else:
        given, notes = founding_brains(study.founders, study.settings, study.training, market, plan)
    for note in dict.fromkeys(notes):
        say(note)
    kept = {name: brains for name, brains in zip(plan.names, given, strict=True) if brains is not None}
    models = {name: _models(brains) for name, brains in kept.items()}
    beside = {f"{_GENES}{name}": own for name, own in zip(plan.names, genes, strict=False) if own is not None}
    about = {"generation": "0", "models": json.dumps(models), "source": study.founders, **lines}
    save_tree(directory.founders, {**kept, **beside}, about)
    if lines:
        write_origins(directory)
        _tell_seen(study, market, bars, ancestors_saw(directory))
    return found(plan, market.tape, given, genes)


def _tell_seen(study: Study, market: Market, bars: Sequence[Bars], seen: Sequence[Seen]) -> None:
    """Say where those who founded the run know bars of its holdout."""
    copies = len(market.scalers) if study.market.made_up else 1
    segments, symbols, known = len(market.segments) // copies, len(bars) // copies, list[Seen]()
    for copy in range(copies):
        own = market.segments[copy * segments : (copy + 1) * segments]
        spans = _holdouts(own, bars[copy * symbols : (copy + 1) * symbols])
        known += overlapping(seen, spans, made_of(study.market, study.settings.seed + copy))
    if line := seen_words(known):
        say(line)


def _holdouts(segments: Sequence[Segment], bars: Sequence[Bars]) -> dict[str, tuple[str, str]]:
    """First and last stamp of each symbol's holdout, of all folds together; a symbol without one is missing."""
    spans: dict[str, tuple[str, str]] = {}
    for segment in segments:
        clocks = [own.time for own in bars if own.symbol in segment.symbols]
        if clocks and len(segment.rows.holdout):
            rows = functools.reduce(np.intersect1d, clocks)[segment.rows.holdout.start - segment.first :]
            spans |= dict.fromkeys(segment.symbols, (f"{rows[0]}Z", f"{rows[-1]}Z"))
    return spans


def load_founders(directory: RunDirectory, plan: Plan) -> tuple[Genome | None, ...]:
    """The brains that a run's founders began with, by species, leaves [markets, models, …]; None for those drawn.

    Raises:
        UserError: the file is damaged, or of another configuration.
    """
    kept = _load(directory, plan)
    return tuple(kept.get(name) for name in plan.names)


def _load_genes(directory: RunDirectory, plan: Plan) -> tuple[Genes | None, ...]:
    """The genes that came with them, leaves [models]; None for those drawn."""
    kept = _load(directory, plan)
    return tuple(kept.get(f"{_GENES}{name}") for name in plan.names)


def _load(directory: RunDirectory, plan: Plan) -> dict[str, Any]:
    """Brains, by species, and genes where they came with them."""
    remedy = "delete it, and founders are made anew"
    try:
        about = metadata_of(directory.founders)
        models = {name: (int(markets), int(count)) for name, (markets, count) in json.loads(about["models"]).items()}
        form: dict[str, Any] = {name: _several(plan, name, *models[name]) for name in plan.names if name in models}
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{directory.founders}: damaged, it does not say whose brains it holds; {remedy}") from error
    if about.get("source") == BUNDLE:
        for name in [*form]:
            number: Any = jax.ShapeDtypeStruct(models[name][1:], jnp.float32)
            form[f"{_GENES}{name}"] = Genes(*(number for _ in Genes._fields))
    return load_tree(directory.founders, form, remedy=remedy)[0]


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
