"""What an agent sees of itself: four numbers of its own account, clipped and of order one like market features."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from markets.account import Account

__all__ = ["ACCOUNT_VIEW", "ObservationSettings", "account_view", "input_quantiles"]

ACCOUNT_VIEW = ("position", "unrealised", "drawdown", "holding")
"""Position: exposure as a multiple of equity. Unrealised: profit of the open position in ATR. Drawdown: share below the
peak of equity. Holding: log of bars in the position. Order is part of every file."""

_Number = Literal["position", "unrealised", "drawdown", "holding"]


@dataclasses.dataclass(frozen=True)
class ObservationSettings:
    """What agents see of their account.

    Attributes:
        account: which of the numbers of `ACCOUNT_VIEW`; a brain still has an input for each, and the others are 0.
    """

    account: tuple[_Number, ...] = ("position", "unrealised", "drawdown", "holding")

    def problems(self, where: str) -> Iterator[str]:
        """What is wrong with the list."""
        if len(set(self.account)) < len(self.account):
            yield f"{where}.account: {list(self.account)} names a number twice; name each once"

    @property
    def places(self) -> tuple[int, ...] | None:
        """Where the numbers that are seen stand in `ACCOUNT_VIEW`; None where that is all of them."""
        found = tuple(place for place, name in enumerate(ACCOUNT_VIEW) if name in self.account)
        return None if len(found) == len(ACCOUNT_VIEW) else found


_CLIP = 5.0

_USUAL = np.asarray([(-1.0, 1.0), (-2.0, 2.0), (0.0, 1.0), (0.0, 1.5)], np.float32)
"""Where each of the four numbers mostly lies."""


def input_quantiles(market: Float[Array, "*batch features points"]) -> Float[Array, "*batch inputs points"]:
    """Quantiles of all that an agent sees: the market's, then its account's, evenly spaced where these mostly lie.

    Args:
        market: of the market's features.
    """
    rank = jnp.linspace(0.0, 1.0, market.shape[-1])
    own = _USUAL[:, :1] + (_USUAL[:, 1:] - _USUAL[:, :1]) * rank
    return jnp.concatenate([market, jnp.broadcast_to(own, (*market.shape[:-2], *own.shape))], axis=-2)


def account_view(
    account: Account,
    close: Float[Array, "*market instruments"],
    atr: Float[Array, "*market instruments"],
    peak: Float[Array, "*accounts"],
    held: Float[Array, "*accounts instruments"],
    seen: Sequence[str] = ACCOUNT_VIEW,
) -> Float[Array, "*accounts instruments view"]:
    """The account as its agent sees it at the close of a bar, one row an instrument.

    Args:
        account: after that bar.
        close: mid close, in price.
        atr: average true range as a fraction of the close, > 0.
        peak: highest equity so far in the episode.
        held: bars the open position has been held; 0 when flat.
        seen: which of the numbers; the others are 0.
    """
    equity = jnp.maximum(account.equity, 1e-6 * peak)[..., None]
    exposure = account.units * close / equity
    profit = jnp.sign(account.units) * (close - account.entry) / (close * atr)
    drawdown = jnp.broadcast_to((1.0 - account.equity / peak)[..., None], exposure.shape)
    numbers = dict(zip(ACCOUNT_VIEW, (exposure, 0.2 * profit, 5.0 * drawdown, 0.25 * jnp.log1p(held)), strict=True))
    view = jnp.stack([x if name in seen else jnp.zeros_like(x) for name, x in numbers.items()], axis=-1)
    return jnp.clip(view, -_CLIP, _CLIP)
