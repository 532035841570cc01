"""The library alone: the models that founders were made of, as they came, without anything that evolution adds."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from agents.memory import MemorySettings, forget
from arena.benchmarks import play
from arena.rollout import Rollout, Trader
from arena.tally import REGIMES, groups_of
from experiments.runs.directory import RunDirectory
from experiments.runs.founders import load_founders
from experiments.runs.job import Job
from experiments.studies.judging import Entrants, Windows
from genomes.genes import Genes
from genomes.species import Genome

__all__ = ["best_models", "library_alone"]


def library_alone(job: Job, directory: RunDirectory, own: Windows, replicate: int) -> list[Entrants]:
    """The models of one replicate, the best of them on its validation windows standing for each group.

    They ask for full size and place no stops; neither scars nor trust hold them back. Their ids are their numbers.

    Args:
        job: of founders from other libraries.
        directory: of its run, which keeps the models.
        own: the replicate's validation windows.
        replicate: whose models.

    Raises:
        UserError: the file of the models is damaged.
    """
    return [
        best_models(
            setup, jax.tree.map(lambda leaf: leaf[replicate % len(leaf)], brains), own, job.study.settings.archive.bars
        )
        for setup, brains in zip(job.plan.rollouts, load_founders(directory, job.plan), strict=True)
        if brains is not None
    ]


def best_models(setup: Rollout, brains: Genome, own: Windows, least: int) -> Entrants:
    """Models as entrants, the best standing for each group.

    The best is who has the highest log return a bar over the group's bars in all windows that have enough of them: the
    archive's own score, before any luck is taken out of it, which would leave their order as it is.

    Args:
        setup: of their species.
        brains: leaves [models, …].
        own: windows to choose on.
        least: bars that a window needs in a group to count for it.
    """
    plain = dataclasses.replace(
        setup,
        stops=False,
        memory=MemorySettings(enabled=False),
        trust=dataclasses.replace(setup.trust, enabled=False),
    )
    models = len(jax.tree.leaves(brains)[0])
    ones = jnp.ones(models)
    traders = Trader(
        genome=jax.tree.map(jnp.asarray, brains),
        genes=Genes(*(ones for _ in Genes._fields)),
        memory=forget((models,), 1, 1),
        trust=jnp.zeros((models, REGIMES)),
    )
    made = np.asarray(play(plain, traders, own.tape, own.first, own.bars).log_return, np.float64)
    decisions = own.first[:, None] + jnp.arange(own.bars)
    return Entrants(plain, traders, _best(made, np.asarray(groups_of(own.tape.regime[decisions]).sum(-1)), least))


def _best(made: NDArray[np.float64], bars: NDArray[np.floating], least: int) -> dict[int, tuple[int, int]]:
    """By group the best model, twice; a group that no window has enough bars of has none.

    Args:
        made: log return of each model in each window [groups, models, windows].
        bars: of each group in each window [groups, windows].
        least: that count.
    """
    counts = bars >= least
    total = np.where(counts, bars, 0.0).sum(-1)
    score = np.where(counts[:, None], made, 0.0).sum(-1) / np.maximum(total, 1.0)[:, None]
    best = np.where(np.isfinite(score), score, -np.inf).argmax(-1)
    return {group: (int(best[group]), int(best[group])) for group in range(len(best)) if total[group] > 0}
