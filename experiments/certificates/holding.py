"""Buy and hold on the holdout, through the same broker: shown beside a family, and tested against by nobody."""

import jax.numpy as jnp
import numpy as np

from arena.benchmarks import follower
from arena.journey import earn
from arena.settings import Settings
from arena.tally import REGIMES
from experiments.certificates.ground import Ground
from experiments.certificates.passes import CHARGES, Pass, Trades
from experiments.certificates.series import Record, record

__all__ = ["held"]


def held(ground: Ground, settings: Settings) -> Record:
    """What all of the equity, put into each symbol at its first judged bar and held to its last, came to by day.

    Args:
        ground: of a population.
        settings: of the evolution.

    Returns:
        A record of one member; its matched benchmark means nothing.
    """
    market, stretches = ground.market, ground.parts["holdout"]
    setup, trader = follower(settings)
    tape = market.tape._replace(features=jnp.ones((*market.tape.atr.shape, 1), jnp.float32))
    first, stop = (np.asarray([getattr(own, end) for own in stretches], np.int32) for end in ("first", "stop"))
    pieces = [piece.equity for _, piece in earn(setup, trader, tape, first, stop)]
    equity = np.maximum(np.concatenate(pieces)[:, 0].astype(np.float64) / settings.broker.cash, 0.0)
    nothing = Trades(np.zeros(0), *(np.zeros(0, np.int64) for _ in range(3)))
    passed = []
    for lane, own in enumerate(stretches):
        bars = own.stop - own.first - 1
        still = np.zeros((bars, market.tape.atr.shape[1]))
        passed.append([Pass(np.append(1.0, equity[:bars, lane]), still, nothing, 0.0, np.zeros(len(CHARGES)))])
    everywhere = np.ones((1, REGIMES), bool)
    return record(passed, {}, everywhere, market, stretches, settings.broker.calendar)
