"""From action values to an order: the decoder every species shares.

The best value names a direction; the agent's size gene, its caution and, where it scales capital, its trust say how
much. Asking for the direction already held is no order, judged on units at the close. Stops and take-profits are asked
for in ATR and sent as fractions of the entry price.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from genomes.genes import Genes
from genomes.species import ActionSpace
from markets.account import Order

__all__ = ["direction", "order"]


def direction(values: Float[Array, "*rows actions"], space: ActionSpace) -> Float[Array, "*rows"]:
    """Target direction of the best action; ties go to the earlier action.

    A chain of comparisons over the few actions: a reduction over so short an axis would not vectorise.
    """
    exposures = space.directions()
    best, chosen = values[..., 0], jnp.full(values.shape[:-1], exposures[0])
    for index in range(1, len(space)):
        better = values[..., index] > best
        best = jnp.where(better, values[..., index], best)
        chosen = jnp.where(better, exposures[index], chosen)
    return chosen


def order(
    wanted: Float[Array, "agents episodes instruments"],
    units: Float[Array, "agents episodes instruments"],
    factor: Float[Array, "agents episodes #instruments"],
    atr: Float[Array, "#episodes instruments"],
    genes: Genes,
    *,
    stops: bool,
) -> Order:
    """The order for the next open.

    Args:
        wanted: target direction, a signed share of the size gene.
        units: position held at the close.
        factor: on exposure, from caution and trust.
        atr: average true range as a fraction of price.
        genes: of the agents, leaves [agents].
        stops: whether agents place stops and take-profits at all.
    """
    size = genes.size[:, None, None]
    target = jnp.where(jnp.sign(wanted) == jnp.sign(units), jnp.nan, wanted * size * factor)
    if not stops:
        none = jnp.full_like(target, jnp.nan)
        return Order(target, none, none)
    # A stop at or beyond the whole price would be a negative level; 95 % of the price is as good as none.
    stop = jnp.minimum(genes.stop[:, None, None] * atr, 0.95)
    take = genes.take_profit[:, None, None] * atr
    return Order(target, jnp.broadcast_to(stop, target.shape), jnp.broadcast_to(take, target.shape))
