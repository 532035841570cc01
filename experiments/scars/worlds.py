"""The worlds of the experiment: prices with gaps that a sign announces, or with signs that announce nothing.

A bar's log return is 0.001 + 0.004·clip(N, ±3). Four windows of a generation carry one gap: at a bar between 32 and
80 the open is 0.70 of the close before, so no stop helps. Crashes come in four kinds, one a generation, and none comes
back before four generations have passed. Kind j shows itself as a·u_j on the bars 8 to 2 before the gap, the u_j
orthonormal in eight features of unit noise. An order decided on the bar before the gap would be filled behind it.

Four kinds, one in every generation and none back sooner than after four, can only take turns, in an order that is the
seed's. In a `rare` world each comes back after 4 to 12 generations, drawn, and a generation in which none is due has no
gap; there heeding signs pays less, for who is always long earns several times as much.

World P shows the sign there. World N has the same prices and noise, the signs permuted over the windows and at least 24
bars from any gap. Everything is drawn before the first agent acts, from the seed alone: arms share their world.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32
from numpy.typing import NDArray

from markets.tape import Strata, Tape

__all__ = [
    "DRIFT",
    "FEATURES",
    "FIRST_SIGN",
    "GAP",
    "KINDS",
    "LAST_SIGN",
    "NOWHERE",
    "SCALE",
    "World",
    "draw_schedule",
    "draw_world",
    "expected",
    "presentations",
    "tape_of",
]

KINDS, FEATURES = 4, 8
DRIFT, NOISE, CLIP = 0.001, 0.004, 3.0
GAP = 0.70
EARLIEST, LATEST = 32, 80
"""Bars a gap may come at."""

FIRST_SIGN, LAST_SIGN = 8, 2
"""Bars before the gap on which the sign stands."""

APART = 24
"""Bars between a sign and any gap, at least, in world N."""

RECURRENCE = (4, 12)
"""Generations after which a kind comes again in a rare world."""

NOWHERE = -1
SCALE = float(np.hypot(DRIFT, NOISE))
"""Root mean square log return of a bar without a gap, but for the clip; rewards are counted in it."""


class World(NamedTuple):
    """All bars of one run, as data to the compiled program; rows are those of a window, from its first decision to the
    bar that its last decision meets.
    """

    opening: Float[Array, "*runs generations episodes rows"]
    close: Float[Array, "*runs generations episodes rows"]
    noise: Float[Array, "*runs generations episodes rows features"]
    kind: Int32[Array, "*runs generations"]
    """Of the crash, or `NOWHERE`."""
    gap: Int32[Array, "*runs generations episodes"]
    """Bar of the gap, or `NOWHERE`."""
    sign: Int32[Array, "*runs generations episodes"]
    """Bar that a sign stands 8 to 2 bars before, or `NOWHERE`."""
    lean: Float[Array, "*runs kinds features"]
    """a·u, the u orthonormal. Multiplied beforehand: a compiler might fuse product and sum, here but not there."""


def draw_schedule(rng: np.random.Generator, generations: int, *, rare: bool) -> NDArray[np.int32]:
    """Kind of each generation's crash, or `NOWHERE`.

    Args:
        rng: of the seed.
        generations: of the run.
        rare: whether kinds come first within the first eight generations and back after 4 to 12, drawn from those that
            are free; else they take turns.
    """
    if not rare:
        return np.resize(rng.permutation(KINDS), generations).astype(np.int32)
    due = {int(generation): kind for kind, generation in enumerate(rng.permutation(2 * KINDS)[:KINDS])}
    schedule = np.full(generations, NOWHERE, np.int32)
    for generation in range(generations):
        if generation in due:
            kind = due.pop(generation)
            schedule[generation] = kind
            later = np.arange(generation + RECURRENCE[0], generation + RECURRENCE[1] + 1)
            due[int(rng.choice(later[~np.isin(later, list(due))]))] = kind
    return schedule


def presentations(schedule: NDArray[np.int32]) -> NDArray[np.int32]:
    """For each generation, how often its kind has been there, this time included; 0 without a crash."""
    seen = [int((schedule[: index + 1] == kind).sum()) if kind >= 0 else 0 for index, kind in enumerate(schedule)]
    return np.asarray(seen, np.int32)


def draw_world(
    seed: int, world: str, *, strength: float, generations: int, episodes: int, bars: int, crashes: int, rare: bool
) -> World:
    """The world of a seed; P and N of one seed differ in nothing but where signs stand.

    Args:
        seed: of the run.
        world: `P` or `N`.
        strength: a.
        generations: of the run.
        episodes: windows a generation.
        bars: decisions a window.
        crashes: windows of a generation that carry a gap.
        rare: see `draw_schedule`.
    """
    streams = (np.random.default_rng(each) for each in np.random.SeedSequence([seed, 0x5CA25]).spawn(4))
    when, path, seen, elsewhere = streams
    schedule = draw_schedule(when, generations, rare=rare)
    gap = np.full((generations, episodes), NOWHERE, np.int32)
    sign = np.full_like(gap, NOWHERE)
    for generation in np.flatnonzero(schedule >= 0):
        hit = when.permutation(episodes)[:crashes]
        gap[generation, hit] = when.integers(EARLIEST, LATEST + 1, crashes)
        moved = elsewhere.permutation(episodes)[hit]
        for own, other in zip(hit, moved, strict=True):
            sign[generation, other] = _away(elsewhere, int(gap[generation, own]), int(gap[generation, other]), bars)
    returns = DRIFT + NOISE * np.clip(path.standard_normal((generations, episodes, bars)), -CLIP, CLIP)
    falls = np.where(np.arange(1, bars + 1) == gap[..., None], np.log(GAP), 0.0)
    after = np.cumsum(returns + falls, -1)
    close = np.concatenate([np.zeros((generations, episodes, 1)), after], -1)
    opening = np.concatenate([close[..., :1], after - returns], -1)
    noise = seen.standard_normal((generations, episodes, bars + 1, FEATURES))
    directions = np.linalg.qr(seen.standard_normal((FEATURES, FEATURES)))[0][:KINDS]
    leaves: dict[str, Any] = {  # NumPy until the program takes them
        "opening": np.exp(opening).astype(np.float32),
        "close": np.exp(close).astype(np.float32),
        "noise": noise.astype(np.float32),
        "kind": schedule,
        "gap": gap,
        "sign": gap.copy() if world == "P" else sign,
        "lean": (strength * directions).astype(np.float32),
    }
    return World(**leaves)


def _away(rng: np.random.Generator, place: int, gap: int, bars: int) -> int:
    """Where a sign stands that announces nothing: its own place in a window without a gap, else far from the gap."""
    if gap == NOWHERE:
        return place
    places = np.arange(FIRST_SIGN, bars)
    far = places[(places - LAST_SIGN <= gap - APART) | (places - FIRST_SIGN >= gap + APART)]
    return int(rng.choice(far))


def tape_of(world: World, generation: Array) -> tuple[Tape, Int32[Array, "episodes"]]:
    """One generation of one run as a tape, its windows one after another, and the first row of each."""
    opening, close, noise, kind, sign = (
        leaf[generation] for leaf in (world.opening, world.close, world.noise, world.kind, world.sign)
    )
    episodes, rows = opening.shape
    before = sign[:, None] - jnp.arange(rows)
    stands = (sign[:, None] >= 0) & (before >= LAST_SIGN) & (before <= FIRST_SIGN)
    features = noise + jnp.where(stands[..., None], world.lean[jnp.maximum(kind, 0)], 0.0)
    prices = jnp.stack([opening, jnp.maximum(opening, close), jnp.minimum(opening, close), close], -1)
    prices = prices.reshape(-1, 1, 4)
    count = episodes * rows
    nobody = jnp.zeros((1, 0), jnp.int32)
    tape = Tape(
        bid=prices,
        ask=prices,
        volume=jnp.full((count, 1), jnp.inf),
        days=jnp.zeros((count, 1)),
        features=features.reshape(count, 1, -1),
        atr=jnp.full((count, 1), NOISE),
        regime=jnp.zeros(count, jnp.int32),
        segment=jnp.zeros(count, jnp.int32),
        costs={},
        train=Strata(nobody[0], nobody, nobody),
        validation=nobody,
        quantiles=jnp.zeros((1, FEATURES, 2)),
        scale=jnp.full(1, SCALE),
    )
    return tape, jnp.arange(episodes, dtype=jnp.int32) * rows


def expected(bars: int = 128, episodes: int = 16, crashes: int = 4) -> dict[str, float]:
    """Mean log return of a window of a generation with a crash, in closed form.

    Returns:
        `long`: of who is always long, whose account is closed on the bar of the gap, by the loss of that bar's open
        and with that bar's own return; `heeding`: of who leaves at the sign's first bar and is back
        a bar after the gap; `shorting`: of who is short from there to there, with as many units as his money bought at
        the sign's first bar.
    """
    at = 0.5 * (EARLIEST + LATEST)
    share = crashes / episodes
    calm = DRIFT * bars
    ruined = DRIFT * at + float(np.log(GAP))
    heeds = DRIFT * (bars - FIRST_SIGN)
    shorts = heeds + float(np.log(2.0 - GAP * np.exp(DRIFT * FIRST_SIGN)))
    crashing = {"long": ruined, "heeding": heeds, "shorting": shorts}
    return {name: (1 - share) * calm + share * earned for name, earned in crashing.items()}
