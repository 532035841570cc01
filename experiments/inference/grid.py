"""The grid of a run: for each replicate its champions are made to act by every rule, and what came of it is written."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl

from arena.api import make_market
from arena.schemas import REGIME_NAMES
from arena.tally import REGIMES
from experiments.champions.champions import Champion
from experiments.champions.world import World, alone, load_world
from experiments.configuration.study import Study
from experiments.inference.brains import Bench, bench_of, read_champions
from experiments.inference.files import TABLE, chosen, write_grids
from experiments.inference.rules import PLAIN, RULES, Rule
from experiments.inference.training import gaps_of, known_rows, think
from experiments.inference.trying import Tried, best_of, try_rules
from experiments.inference.views import views_of
from experiments.inference.weights import ensemble_weights
from experiments.runs.champions import fold_reached, replicates
from experiments.runs.directory import RunDirectory
from experiments.runs.lock import only_one
from markets.bars import Bars
from markets.errors import UserError
from markets.preparation import Market

__all__ = ["run_grid"]


def run_grid(
    directory: RunDirectory,
    *,
    replicate: int | None = None,
    fold: int | None = None,
    force: bool = False,
    tell: Callable[[str], None] | None = None,
) -> list[dict[str, Any]]:
    """Try all decision rules of a finished run's champions on validation, and write what is chosen.

    Where that was done before, of the same champions, it is left as it is.

    Args:
        directory: of the run.
        replicate: from 1; all of them where none is named.
        fold: from 0; the last where none is named.
        force: do it anew all the same.
        tell: is told what begins now.

    Returns:
        The entries of `inference.json` of those replicates, in their order.

    Raises:
        UserError: the run is not finished, has no such replicate or fold or no champions, its bars are gone, or another
            process is at work on it.
    """
    study = alone(directory.read_config())
    manifest = directory.read_manifest()
    state = directory.state(manifest)
    if state != "finished":
        raise UserError(f"{directory.root}: is {state}; arena resume {directory.root} finishes it, then try again")
    wanted = _wanted(directory, replicate)
    fold = _fold(directory, fold)
    champions = {own: read_champions(directory, own, fold) for own in wanted}
    known = {own: None if force else chosen(directory, own, fold) for own in wanted}
    missing = [own for own in wanted if known[own] is None]
    if missing:
        with directory.writing(), only_one(directory.root):
            pass  # nobody is at work on it, said before minutes are spent; grids of other replicates may be made beside
        say = tell or _silent
        say("reading the market")
        world = load_world(study, manifest.get("data_hash"), fold)
        made = [_grid_of(directory, study, world, own, fold, champions[own], say) for own in missing]
        write_grids(directory, [entry for entry, _ in made], pl.concat([rows for _, rows in made]))
        known |= {entry["replicate"]: entry for entry, _ in made}
    return [entry for own in wanted if (entry := known[own]) is not None]


def _silent(_: str) -> None:
    """Nobody wants to know."""


def _wanted(directory: RunDirectory, replicate: int | None) -> list[int]:
    count = replicates(directory)[0]
    if replicate is None:
        return list(range(1, count + 1))
    if not 1 <= replicate <= count:
        right = "1" if count == 1 else f"1 to {count}"
        raise UserError(f"--replicate: {replicate} of a run that has {count}; right is {right}")
    return [replicate]


def _fold(directory: RunDirectory, fold: int | None) -> int:
    last = fold_reached(directory)
    if fold is not None and not 0 <= fold <= last:
        right = "1" if last == 0 else f"1 to {last + 1}"
        raise UserError(f"--fold: {fold + 1} of a run that has champions in {last + 1}; right is {right}")
    return last if fold is None else fold


def _grid_of(
    directory: RunDirectory,
    study: Study,
    world: World,
    replicate: int,
    fold: int,
    champions: dict[str, Champion],
    say: Callable[[str], None],
) -> tuple[dict[str, Any], pl.DataFrame]:
    """The entry and the rows of one replicate."""
    settings, mode = study.settings, study.market.mode
    market, bars = _own_market(study, world, replicate, fold)
    for part in ("train", "validation"):
        if not known_rows(market, part):
            raise UserError(f"split.{part}: no row of it has a known regime; give the run more bars")
    bench = bench_of(directory, champions, world.plan)
    named = f" of replicate {replicate}" if replicates(directory)[0] > 1 else ""
    say(f"what the champions{named} think on training rows")
    views = views_of(market, bars, settings, mode=mode)
    setups = world.plan.rollouts
    space = setups[0].species.shape.actions
    weights = ensemble_weights(think(setups, bench, market, views), bench.trust, space)
    gaps = gaps_of(setups, bench, market, views, weights)
    block = settings.episodes.bars
    tried = try_rules(setups, bench, market, views, weights, gaps, block=block, tell=say)
    entry: dict[str, Any] = {
        "replicate": replicate,
        "fold": fold,
        "block": block,
        "settings": len(RULES) * len(bench.seat),
        "champions": {
            group: {"id": own.id, "generation": own.generation, "species": own.species}
            for group, own in champions.items()
        },
        "choices": {},
    }
    rows = []
    for group in bench.seat:
        own = tried[group]
        place, against = best_of(own, group, least=settings.archive.bars, t=settings.archive.t)
        rule = RULES[place]
        entry["choices"][group] = {
            **rule._asdict(),
            "gap": gaps[group, rule],
            **_brains(bench, group, rule, weights),
            **_figures(own, group, place, float(against[place])),
        }
        rows.append(_rows(own, group, champions[group].id, replicate, fold, gaps, against, place))
    return entry, pl.concat(rows)


def _own_market(study: Study, world: World, replicate: int, fold: int) -> tuple[Market, Sequence[Bars]]:
    """The market that a replicate plays on, by itself, and its bars."""
    copies = len(world.market.scalers)
    if copies == 1:
        return world.market, world.supply.bars
    each = len(world.supply.bars) // copies
    bars = world.supply.bars[(replicate - 1) * each : replicate * each]
    return make_market(bars, study.settings, mode=study.market.mode, fold=fold), bars


def _brains(bench: Bench, group: str, rule: Rule, weights: Any) -> dict[str, Any]:
    """Whose values count in a rule, and how much in each regime."""
    if rule.ensemble == "alone":
        own = bench.seat[group]
        return {"groups": [group], "brains": [bench.ids[own]], "weights": [[1.0]] * REGIMES}
    shares = [[float(weight) for weight in row] for row in weights[rule.ensemble]]
    return {"groups": list(bench.groups), "brains": list(bench.ids), "weights": shares}


def _figures(tried: Tried, group: str, place: int, t: float) -> dict[str, Any]:
    """How the chosen rule fared, and the plain one."""
    regime, plain = REGIME_NAMES.index(group), RULES.index(PLAIN)
    bars = int(tried.bars[regime].sum())
    gained = tried.returns[:, regime].sum(-1) / max(bars, 1)
    return {
        "bars": bars,
        "score": float(gained[place]),
        "t": t if np.isfinite(t) else None,
        "trades": int(tried.trades[place, regime]),
        "plain": {"score": float(gained[plain]), "trades": int(tried.trades[plain, regime])},
    }


def _rows(
    tried: Tried, group: str, identity: int, replicate: int, fold: int, gaps: Any, against: Any, chosen_place: int
) -> pl.DataFrame:
    """Every rule of one champion, in each regime in which it acts."""
    columns: dict[str, list[Any]] = {name: [] for name in TABLE}
    own = REGIME_NAMES.index(group)
    for place, rule in enumerate(RULES):
        for regime in range(len(REGIME_NAMES)) if own == REGIMES else [own]:
            t = against[place] if regime == own else np.nan
            values = {
                "replicate": replicate - 1,
                "fold": fold,
                "group": group,
                "id": identity,
                **rule._asdict(),
                "gap": gaps[group, rule],
                "regime": REGIME_NAMES[regime],
                "bars": int(tried.bars[regime].sum()),
                "log_return": float(tried.returns[place, regime].sum()),
                "t": float(t) if np.isfinite(t) else None,
                "trades": int(tried.trades[place, regime]),
                "chosen": place == chosen_place and regime == own,
            }
            for name, column in columns.items():
                column.append(values[name])
    return pl.DataFrame(columns, schema=TABLE)
