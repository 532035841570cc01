"""Champions of every replicate beside flat, buy and hold and, where there is one, the oracle: by regime and part.

Where the run's market is at hand everybody trades the same fixed windows once more, as at the end of a run. Where it is
not, or a champion's file is lost, what `fitness` says of the champion stands in.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl

from agents.population import NOBODY
from arena.archive import Archive
from arena.rollout import Trader
from arena.schemas import REGIME_NAMES
from arena.standings import standings as trade_again
from experiments.champions.champions import species_of
from experiments.configuration.study import oracle_path
from experiments.report.facts.champions import Champion, short
from experiments.report.facts.sources import Sources
from experiments.report.facts.world import World
from experiments.runs.genomes import trader_form

__all__ = ["archive_of", "standings"]

_BP = 1e4
_PARTS = ("train", "validation")
_CHAMPION = "champion"
_ORDER = (_CHAMPION, "flat", "buy and hold", "oracle")
_COLUMNS = ("generation", "id", "split", "regime", "bars", "log_return", "max_drawdown", "trades")

_Row = dict[str, Any]


def standings(
    sources: Sources, world: World | None, champions: Sequence[Champion], species: Sequence[str]
) -> list[_Row] | None:
    """Who did what, a row each: `regime, replicate, player, id, species, train, validation`.

    Args:
        sources: the run.
        world: of the run, where it is at hand.
        champions: with their brains where their files are there.
        species: names by index.

    Returns:
        In the order of replicates, then regimes, the champion first; None where nobody is one. `player` is `champion`,
        `flat`, `buy and hold` or `oracle`; `train` and `validation` are `{bp, sharpe, drawdown, trades, bars}` with the
        log return a bar in 1e-4 and the Sharpe ratio of a year, or None where nobody knows; so are numbers that are
        undefined, and both of these where a regime had fewer than `fitness.bars` bars.
    """
    if not champions:
        return None
    least = sources.setting("fitness", "bars", default=1)
    rows: list[_Row] = []
    able = [champion for champion in champions if champion.trader is not None] if world is not None else []
    if world is not None:
        rows = _traded(world, able, sources.replicates[0], least)
    known = {champion.key for champion in able}
    lost = [champion for champion in champions if champion.key not in known]
    if lost:
        rows += _recorded(sources, lost, world, least)
    kinds = {(champion.replicate, regime): champion.species for champion in champions for regime in champion.scores}
    for row in rows:
        kind = kinds.get((row["replicate"], row["regime"])) if row["player"] == _CHAMPION else None
        row["species"] = species.index(kind) if kind in species else None
    return sorted(rows, key=lambda row: (row["replicate"], row["regime"], _ORDER.index(row["player"]))) or None


def archive_of(world: World, champions: Sequence[Champion], replicates: int) -> Archive:
    """An archive with these champions in it, as far as it says who they are and how they act."""
    settings, groups = world.plan.settings, len(REGIME_NAMES)
    ids = np.full((replicates, groups), NOBODY, np.uint32)
    species = np.zeros((replicates, groups), np.int32)
    traders: list[Trader] = []
    for name in world.plan.names:
        form = trader_form(species_of(settings, name, len(world.market.features)), settings.scars.memory)
        traders.append(jax.tree.map(lambda leaf: np.zeros((replicates, groups, *leaf.shape), leaf.dtype), form))
    for champion in champions:
        place = world.plan.names.index(champion.species or "")
        for regime in champion.scores:
            ids[champion.replicate, regime], species[champion.replicate, regime] = champion.id, place
            at = (champion.replicate, regime)
            jax.tree.map(lambda all_of, one, at=at: all_of.__setitem__(at, one), traders[place], champion.trader)
    nothing = jnp.zeros((replicates, groups))
    return Archive(
        id=jnp.asarray(ids),
        species=jnp.asarray(species),
        score=nothing,
        windows=nothing[..., None],
        traders=tuple(jax.tree.map(jnp.asarray, trader) for trader in traders),
    )


def _traded(world: World, champions: Sequence[Champion], replicates: int, least: int) -> list[_Row]:
    """Champions and benchmarks on the reference windows of training and the validation windows."""
    archive = archive_of(world, champions, replicates)
    oracle = oracle_path(world.supply, world.market)
    rows: list[_Row] = []
    for replicate in range(replicates):
        if replicate and not any(champion.replicate == replicate for champion in champions):
            continue
        table = trade_again(world.plan, world.market, archive, oracle, replicate)
        made: dict[tuple[str, int], _Row] = {}
        for row in table.iter_rows(named=True):
            regime = REGIME_NAMES.index(row["regime"])
            one = made.setdefault((row["player"], regime), _row(regime, replicate, row["player"], row["id"]))
            one[row["split"]] = _part(row, least)
        rows += made.values()
    return rows


def _recorded(sources: Sources, champions: Sequence[Champion], world: World | None, least: int) -> list[_Row]:
    """What was written of champions in the generation in which they won."""
    sources.missing.note(
        "Where champions could not trade again, their standings are those of the generation in which they won: "
        "training on that generation's own windows, without a Sharpe ratio of a year."
    )
    if world is None:
        sources.missing.add("standings", "benchmarks", "Flat, buy and hold and the oracle need the market's bars.")
    wanted = pl.DataFrame(
        [(champion.id, generation) for champion in champions for generation in champion.won.values()],
        schema={"id": pl.UInt64, "generation": pl.UInt32},
        orient="row",
    ).unique()
    found = [
        part.join(wanted, on=["id", "generation"], how="semi") for part in sources.frames("fitness", list(_COLUMNS))
    ]
    known = {
        (row["id"], row["generation"], row["regime"], row["split"]): _part(row, least)
        for part in found
        for row in part.iter_rows(named=True)
    }
    rows = []
    for champion in champions:
        for regime, generation in champion.won.items():
            one = _row(regime, champion.replicate, _CHAMPION, champion.id)
            for part in _PARTS:
                one[part] = known.get((champion.id, generation, REGIME_NAMES[regime], part))
            rows.append(one)
    return rows


def _row(regime: int, replicate: int, player: str, identity: int | None) -> _Row:
    unknown = dict.fromkeys(("species", *_PARTS))
    return {"regime": regime, "replicate": replicate, "player": player, "id": identity, **unknown}


def _part(row: _Row, least: int) -> dict[str, Any]:
    bars = row["bars"]
    scored = bars >= max(least, 1)
    return {
        "bp": short(_BP * row["log_return"] / bars) if scored else None,
        "sharpe": short(row.get("sharpe")) if scored else None,
        "drawdown": short(row["max_drawdown"]),
        "trades": row["trades"],
        "bars": bars,
    }
