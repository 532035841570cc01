"""The champions of a replicate and fold as a panel of brains, each agent once, and lanes that act by rules of them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from arena.inference import Decider, Panel
from arena.plan import Plan
from arena.rollout import Trader
from arena.schemas import REGIME_NAMES
from arena.tally import REGIMES
from experiments.champions.champions import Champion, find_champion, read_trader, species_of
from experiments.inference.rules import LOOKBACKS, Rule
from experiments.runs.champions import best_scores
from experiments.runs.directory import RunDirectory
from experiments.runs.genomes import trader_form
from markets.errors import UserError

__all__ = ["Bench", "bench_of", "lanes_of", "read_champions"]


@dataclasses.dataclass(frozen=True)
class Bench:
    """Champions as brains.

    Attributes:
        panel: the brains, numbered through by species.
        seat: number of the brain of each group's champion.
        groups: a group that each brain holds.
        ids: agents, by brain.
    """

    panel: Panel
    seat: Mapping[str, int]
    groups: tuple[str, ...]
    ids: tuple[int, ...]

    @property
    def trust(self) -> NDArray[np.float32]:
        """In each brain [brains, regimes]."""
        return np.concatenate([np.asarray(trader.trust) for trader in self.panel.traders])


def read_champions(directory: RunDirectory, replicate: int, fold: int) -> dict[str, Champion]:
    """The champions of a replicate in a fold, by group.

    Args:
        directory: of the run.
        replicate: from 1.
        fold: of the split, from 0.

    Raises:
        UserError: it has none, or a file is gone.
    """
    held = [regime for regime, own in best_scores(directory, fold) if own == replicate - 1]
    if not held:
        raise UserError(f"{directory.root}: has no champions, nobody has come into its archive")
    return {regime: find_champion(directory, regime, replicate, fold) for regime in held}


def bench_of(directory: RunDirectory, champions: Mapping[str, Champion], plan: Plan) -> Bench:
    """The brains of champions, as they acted when they improved the archive.

    Raises:
        UserError: a file is damaged.
    """
    seat: dict[str, int] = {}
    groups: list[str] = []
    by_species = []
    for name in plan.names:
        traders: list[Trader] = []
        known: dict[tuple[int, int], int] = {}
        for group, champion in champions.items():
            if champion.species != name:
                continue
            who = (champion.id, champion.generation)
            if who not in known:
                known[who] = len(groups)
                groups.append(group)
                traders.append(read_trader(directory, champion, plan.settings)[1])
            seat[group] = known[who]
        by_species.append(_stacked(traders, plan, name))
    seat = {group: seat[group] for group in champions}
    return Bench(Panel(tuple(by_species)), seat, tuple(groups), tuple(champions[group].id for group in groups))


def _stacked(traders: Sequence[Trader], plan: Plan, species: str) -> Trader:
    """Traders of one species behind one another, leaves [traders, …]; there may be none."""
    form = trader_form(species_of(plan.settings, species, plan.features), plan.settings.scars.memory)
    made: Trader = jax.tree.map(
        lambda leaf, *own: jnp.asarray(np.stack(own) if own else np.zeros((0, *leaf.shape), leaf.dtype)), form, *traders
    )
    return made


def lanes_of(
    bench: Bench,
    rules: Sequence[tuple[str, Rule, float]],
    weights: Mapping[str, NDArray[np.float32]],
) -> Decider:
    """Lanes that act by rules, a row each; a regime's champion acts in its regime alone.

    Args:
        bench: the brains.
        rules: whose champion acts, by which rule, with which gap.
        weights: of each ensemble but `alone`, [regimes, brains].
    """
    brains = len(bench.groups)
    own = np.asarray([bench.seat[group] for group, _, _ in rules], np.int32)
    alone = np.broadcast_to(np.eye(brains, dtype=np.float32)[:, None], (brains, REGIMES, brains))
    acts = np.asarray([[group in (name, REGIME_NAMES[-1]) for name in REGIME_NAMES[:-1]] for group, _, _ in rules])

    def every(values: Any, kind: Any) -> NDArray[Any]:
        return np.repeat(np.asarray(values, kind)[:, None], REGIMES, 1)

    return Decider(
        acts=acts,
        own=every(own, np.int32),
        weights=np.stack(
            [
                alone[brain] if rule.ensemble == "alone" else weights[rule.ensemble]
                for brain, (_, rule, _) in zip(own, rules, strict=True)
            ]
        ),
        threshold=every([gap for _, _, gap in rules], np.float32),
        average=every([rule.average for _, rule, _ in rules], np.int32),
        view=every([LOOKBACKS.index(rule.lookback) for _, rule, _ in rules], np.int32),
    )
