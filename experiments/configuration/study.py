"""A study: everything one run is made of, typed and checked, and its market made ready."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from arena.api import make_market
from arena.settings import Settings
from experiments.founders.bundles import BundleSettings, open_bundles, suited
from experiments.founders.founding import BUNDLE, RANDOM, check_founders, suited_layout
from experiments.founders.training import TrainingSettings
from genomes.registry import SPECIES
from markets.errors import UserError
from markets.features import FeatureSettings
from markets.joining import join
from markets.preparation import Market
from markets.settings import build, setting, shown
from markets.source import MarketSettings, Supply, market_settings, supply

__all__ = [
    "RecordSettings",
    "Study",
    "fold_market",
    "joined_supply",
    "load_market",
    "load_supplies",
    "make_study",
    "oracle_path",
]

_OWN = ("market", "record", "terminal", "training", "bundle", "runs_dir", "force", "check")
"""Keys of the configuration that are not settings of the evolution itself."""

_LATER = ("training", "bundle")
"""Of these, groups that a configuration from before there were such founders has not."""


@dataclasses.dataclass(frozen=True)
class RecordSettings:
    """What is written, and how often.

    Attributes:
        fitness: whose fitness is kept: `all`, `births` or `archive`.
        flush: generations a part file holds at most.
        checkpoint: generations between checkpoints.
        keep: checkpoints kept.
    """

    fitness: Literal["all", "births", "archive"] = "all"
    flush: int = setting(10, ge=1)
    checkpoint: int = setting(10, ge=1)
    keep: int = setting(2, ge=1)


@dataclasses.dataclass(frozen=True)
class TerminalSettings:
    """What is shown while a run goes on.

    Attributes:
        progress: whether progress is shown.
    """

    progress: bool = True


@dataclasses.dataclass(frozen=True, eq=False)
class Study:
    """One run's configuration.

    Attributes:
        config: resolved and plain, as it is written into the run directory.
        settings: of the evolution.
        founders: where the first brains come from.
        training: how other libraries make them.
        bundle: which bundles they come from.
        market: where bars come from.
        record, terminal: see their classes.
        runs_dir: folder of runs.
        force: run again even if the same study is there.
        check: stop before anything is compiled.
    """

    config: Mapping[str, Any]
    settings: Settings
    founders: str
    training: TrainingSettings
    bundle: BundleSettings
    market: MarketSettings
    record: RecordSettings
    terminal: TerminalSettings
    runs_dir: str
    force: bool
    check: bool


def make_study(config: Mapping[str, Any], *, founded: bool = False) -> Study:
    """A study from resolved configuration.

    Args:
        config: resolved and plain. One from before there were such founders has no group `training` or `bundle`: it is
            all defaults; one from before births were kept at random keeps none.
        founded: whether its founders are there already, so that no library and no file has to be.

    Raises:
        UserError: the first key that is unknown, of the wrong type, or impossible.
    """
    missing = [key for key in _OWN if key not in config and key not in _LATER]
    if missing:
        raise UserError(f"{missing[0]}: missing from the configuration; it has no default here")
    species = _species(config.get("species"))
    source = species.pop("founders", RANDOM)
    if not species:
        raise UserError(f"species: none takes part; there are: {', '.join(sorted(SPECIES))}")
    training = build(TrainingSettings, config.get("training"), "training")
    bundle = build(BundleSettings, config.get("bundle"), "bundle")
    founders = check_founders(source, species, training, founded=founded)
    if founders == BUNDLE and not founded:
        seen = build(FeatureSettings, config.get("features"), "features")
        species = suited(open_bundles(bundle), species, seen)
        # What the champions needed is kept with the run, which is gone on with where their bundles are no more.
        config = {**config, "species": {**species, "founders": BUNDLE}}
    if isinstance(species.get("forest", 0), Mapping | None):
        species["forest"] = suited_layout(founders, species["forest"])
    for key, kind, right in (
        ("runs_dir", str, "a folder"),
        ("force", bool, "true or false"),
        ("check", bool, "true or false"),
    ):
        if not isinstance(config[key], kind) or config[key] == "":
            raise UserError(f"{key}: expected {right}, got {shown(config[key])}")
    own = {key: value for key, value in config.items() if key not in _OWN}
    if isinstance(own.get("archive"), Mapping):
        own["archive"] = {"trials": 0, **own["archive"]}
    return Study(
        config=config,
        settings=Settings.build({**own, "species": species}),
        founders=founders,
        training=training,
        bundle=bundle,
        market=market_settings(config["market"]),
        record=build(RecordSettings, config["record"], "record"),
        terminal=build(TerminalSettings, config["terminal"], "terminal"),
        runs_dir=config["runs_dir"],
        force=config["force"],
        check=config["check"],
    )


def _species(group: object) -> dict[str, Any]:
    """The group's keys: species, and where founders come from."""
    if group is not None and not isinstance(group, Mapping):
        raise UserError(f"species: expected a group of keys, got {shown(group)}")
    return dict(group or {})


def load_market(study: Study, fold: int = 0) -> tuple[Supply, Market]:
    """The study's bars, and the tape made of them; on a made-up market each replicate has its own, from its own seed.

    Args:
        study: the study.
        fold: which of the folds, where its split has several.

    Raises:
        UserError: bars that cannot be read, or are too few.
    """
    supplies = load_supplies(study)
    return joined_supply(supplies), fold_market(study, supplies, fold)


def load_supplies(study: Study) -> tuple[Supply, ...]:
    """The study's bars as they come: of each replicate where they are made up, else once for all of them.

    Raises:
        UserError: they cannot be read.
    """
    copies = study.settings.evolution.replicates if study.market.made_up else 1
    return tuple(supply(study.market, (study.settings.seed + copy) % 2**32) for copy in range(copies))


def joined_supply(supplies: Sequence[Supply]) -> Supply:
    """All bars, replicate after replicate."""
    oracle = [path for own in supplies for path in own.oracle or ()]
    return Supply([symbol for own in supplies for symbol in own.bars], oracle or None)


def fold_market(study: Study, supplies: Sequence[Supply], fold: int) -> Market:
    """The tape of one fold, of bars that were read before.

    Raises:
        UserError: they are too few.
    """
    return join([make_market(own.bars, study.settings, mode=study.market.mode, fold=fold) for own in supplies])


def oracle_path(bars: Supply, market: Market) -> NDArray[np.float32] | None:
    """The oracle's exposures on the rows of the tape [rows, 1], where the market has an oracle."""
    if bars.oracle is None or market.tape.atr.shape[1] != 1:
        return None
    parts = [
        path[: segment.last - segment.first + 1] for path, segment in zip(bars.oracle, market.segments, strict=True)
    ]
    return np.concatenate(parts).astype(np.float32)[:, None]
