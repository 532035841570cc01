"""The archive: the best agent of each regime and the best all-rounder, by validation alone.

Candidates are the best few by training; every generation they are rolled out on the same fixed validation windows, so
scores compare across generations. The best of several tries is partly luck, so each result is first drawn toward the
mean of those tried for the same place in the same generation, by as much as the windows say is noise. A challenger
replaces the incumbent if a paired t over the windows says it is better by more than luck. The archive reads the
populations and never writes to them: what validation chose does not breed.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32, UInt32

from agents.population import NOBODY
from arena.rollout import Trader
from arena.tally import GROUPS

__all__ = [
    "Archive",
    "ArchiveSettings",
    "Candidates",
    "Improvement",
    "empty_archive",
    "nominate",
    "paired_t",
    "update",
    "without_luck",
]


@dataclasses.dataclass(frozen=True)
class ArchiveSettings:
    """How champions are chosen.

    Attributes:
        enabled: whether an archive is kept; without one nothing is rolled out on validation.
        candidates: best agents by training, for each regime and for all, that are tried an island and generation.
        judged: generations an agent must have been judged before it is tried, so that luck in training has faded; in
            the first generations of a run as many as there have been.
        bars: bars a validation window needs in a regime to count for it.
        t: paired t a challenger must exceed.
        trials: births of each replicate that are kept at random, so that it can be said how many different agents were
            tried (`arena.reservoir`).
    """

    enabled: bool = True
    candidates: int = dataclasses.field(default=2, metadata={"ge": 1})
    judged: int = dataclasses.field(default=3, metadata={"ge": 1})
    bars: int = dataclasses.field(default=16, metadata={"ge": 1})
    t: float = dataclasses.field(default=1.0, metadata={"ge": 0.0})
    trials: int = dataclasses.field(default=2048, metadata={"ge": 0})


class Archive(NamedTuple):
    """Champions of each replicate, one for each group (regimes, then all)."""

    id: UInt32[Array, "replicates groups"]
    """`NOBODY` where there is none yet."""
    species: Int32[Array, "replicates groups"]
    """Index into the run's species."""
    score: Float[Array, "replicates groups"]
    """Log return a bar over the group's bars in all validation windows, without what was luck (`without_luck`)."""
    windows: Float[Array, "replicates groups windows"]
    """Σ log return of the group in each window, without what was luck."""
    traders: tuple[Trader, ...]
    """The champion as it acted, by species; meaningful for its own species only. Leaves [replicates, groups, …]."""


class Candidates(NamedTuple):
    """Who is tried on validation, of all species together; leaves [replicates, candidates, …]."""

    id: UInt32[Array, "*replicates candidates"]
    species: Int32[Array, "*replicates candidates"]
    place: Int32[Array, "*replicates candidates"]
    """Place among the candidates of its own species."""
    group: Int32[Array, "*replicates candidates"]
    """What it is tried for; `GROUPS` where it may not be tried at all."""
    windows: Float[Array, "*replicates candidates windows groups"]
    """Σ log return."""
    trades: Float[Array, "*replicates candidates groups"]


class Improvement(NamedTuple):
    """What the archive gained in one generation."""

    improved: Bool[Array, "replicates groups"]
    id: UInt32[Array, "replicates groups"]
    species: Int32[Array, "replicates groups"]
    score: Float[Array, "replicates groups"]
    previous_id: UInt32[Array, "replicates groups"]
    previous_score: Float[Array, "replicates groups"]
    traders: tuple[Trader, ...]


def empty_archive(replicates: int, windows: int, traders: tuple[Trader, ...]) -> Archive:
    """An archive without champions; `traders` gives shapes, one trader of each species without a leading axis."""
    place = (replicates, GROUPS)
    return Archive(
        id=jnp.full(place, NOBODY, jnp.uint32),
        species=jnp.zeros(place, jnp.int32),
        score=jnp.full(place, -jnp.inf, jnp.float32),
        windows=jnp.zeros((*place, windows)),
        traders=jax.tree.map(lambda x: jnp.zeros((*place, *x.shape), x.dtype), traders),
    )


def nominate(
    score: Float[Array, "slots groups"], ready: Bool[Array, "slots"], count: int
) -> tuple[Int32[Array, "candidates"], Int32[Array, "candidates"]]:
    """The best `count` by training for each group: their slots, and what each is tried for.

    Each is tried for the group it was named for and no other: the fewer tries, the less of the best result is luck.

    Args:
        score: by training.
        ready: who has been judged often enough to be tried.
        count: how many for each group.
    """
    most = min(count, score.shape[0])
    _, slot = jax.lax.top_k(jnp.where(ready[:, None], score, -jnp.inf).T, most)
    group = jnp.broadcast_to(jnp.arange(GROUPS, dtype=jnp.int32)[:, None], slot.shape)
    return slot.reshape(-1).astype(jnp.int32), jnp.where(ready[slot], group, GROUPS).reshape(-1)


def paired_t(
    challenger: Float[Array, "*batch windows"],
    incumbent: Float[Array, "*batch windows"],
    counts: Bool[Array, "*batch windows"],
) -> Float[Array, "*batch"]:
    """Student's t of the paired differences over the windows that count; 0 with fewer than two of them."""
    n = counts.sum(-1).astype(jnp.float32)
    difference = jnp.where(counts, challenger - incumbent, 0.0)
    mean = difference.sum(-1) / jnp.maximum(n, 1.0)
    spread = jnp.where(counts, difference - mean[..., None], 0.0)
    error = jnp.sqrt((spread**2).sum(-1) / jnp.maximum(n - 1.0, 1.0) / jnp.maximum(n, 1.0))
    sure = jnp.where(mean > 0, jnp.inf, jnp.where(mean < 0, -jnp.inf, 0.0))
    return jnp.where(n < 2, 0.0, jnp.where(error > 0, mean / jnp.where(error > 0, error, 1.0), sure))


def without_luck(
    windows: Float[Array, "candidates windows"], tried: Bool[Array, "candidates"], counts: Bool[Array, "windows"]
) -> Float[Array, "candidates windows"]:
    """Results of those tried together, drawn toward their mean by the share of their differences that is noise.

    Of n results, each with noise of variance v, that differ from their mean by dᵢ the share kept is
    1 − (n − 3)·v / Σ dᵢ², at least 0 (Efron and Morris 1973); v is estimated by how the differences vary from window to
    window. Of fewer than four nothing can be said, and nothing is taken.

    Args:
        windows: Σ log return of each candidate in each window.
        tried: who counts; the others' rows come back as they were.
        counts: which windows count.
    """
    both = tried[:, None] & counts
    n, lengths = tried.sum(), counts.sum()
    middle = jnp.where(tried[:, None], windows, 0.0).sum(0) / jnp.maximum(n, 1)
    away = windows - middle
    total = jnp.where(both, away, 0.0).sum(1)
    scatter = jnp.where(both, (away - (total / jnp.maximum(lengths, 1))[:, None]) ** 2, 0.0).sum(1)
    # Differences from a mean of n have (n − 1)/n of the noise of a result.
    noise = scatter.sum() / jnp.maximum(n - 1, 1) * lengths / jnp.maximum(lengths - 1, 1)
    apart = (total**2).sum()
    kept = jnp.where(apart > 0, jnp.clip(1.0 - (n - 3) * noise / jnp.where(apart > 0, apart, 1.0), 0.0, 1.0), 1.0)
    return jnp.where(tried[:, None], middle + kept * away, windows)


def update(
    archive: Archive,
    candidates: Candidates,
    traders: tuple[Trader, ...],
    bars: Float[Array, "replicates windows groups"],
    settings: ArchiveSettings,
) -> tuple[Archive, Improvement]:
    """Let the best candidate of each group challenge its incumbent.

    Args:
        archive: as it stands.
        candidates: with their results.
        traders: the candidates as they acted, by species, leaves [replicates, candidates of the species, …].
        bars: bars of each group in each validation window.
        settings: see `ArchiveSettings`.
    """
    if not settings.enabled:
        nothing = jnp.zeros(archive.id.shape, bool)
        kept = (archive.id, archive.species, archive.score)
        return archive, Improvement(nothing, *kept, archive.id, archive.score, archive.traders)

    def one(
        archive: Archive, candidates: Candidates, traders: tuple[Trader, ...], bars: Float[Array, "windows groups"]
    ) -> tuple[Archive, Improvement]:
        counts = (bars >= settings.bars).T
        total = jnp.where(counts, bars.T, 0.0).sum(-1)
        windows = jnp.moveaxis(candidates.windows, -1, 1)
        named = candidates.group[:, None] == jnp.arange(GROUPS)
        finite = jnp.isfinite(jnp.where(counts, windows, 0.0).sum(-1))
        tried = named & (candidates.trades > 0) & (total > 0) & finite
        windows = jax.vmap(without_luck, (1, 1, 0), 1)(windows, tried, counts)
        score = jnp.where(tried, jnp.where(counts, windows, 0.0).sum(-1) / jnp.maximum(total, 1.0), -jnp.inf)
        oldest = jnp.where(score == score.max(0), candidates.id[:, None], NOBODY)
        best = jnp.argmin(oldest, axis=0)
        group = jnp.arange(GROUPS)
        challenge, result = score[best, group], windows[best, group]
        vacant = archive.id == NOBODY
        better = paired_t(result, archive.windows, counts) > settings.t
        improved = jnp.isfinite(challenge) & (vacant | (better & (challenge > archive.score)))

        def settle(new: Array, old: Array) -> Array:
            return jnp.where(improved.reshape(-1, *(1,) * (old.ndim - 1)), new, old)

        def champions(species: int, tried: Trader) -> Trader:
            place = jnp.where(candidates.species[best] == species, candidates.place[best], 0)
            picked: Trader = jax.tree.map(lambda x: x[place], tried)
            return picked

        acting = tuple(champions(species, tried) for species, tried in enumerate(traders))
        after = Archive(
            id=settle(candidates.id[best], archive.id),
            species=settle(candidates.species[best], archive.species),
            score=settle(challenge, archive.score),
            windows=settle(result, archive.windows),
            traders=jax.tree.map(settle, acting, archive.traders),
        )
        gained = Improvement(
            improved=improved,
            id=after.id,
            species=after.species,
            score=after.score,
            previous_id=archive.id,
            previous_score=archive.score,
            traders=after.traders,
        )
        return after, gained

    result: tuple[Archive, Improvement] = jax.vmap(one)(archive, candidates, traders, bars)
    return result
