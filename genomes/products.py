"""Matrix products of small layers whose gradients are laid out for speed: what `@` says, differentiated by hand.

A learning network multiplies a batch of a few dozen rows by some tens of weights, thousands of times a second. The
products themselves are quick; what autodiff makes of them is not: it keeps a copy of every row for each account input,
and asks for products over the leading axis of both sides, for which compilers have no quick code on a CPU.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

__all__ = ["few_inputs", "product"]


@jax.custom_vjp
def few_inputs(
    rows: Float[Array, "*rows inputs"], weight: Float[Array, "inputs outputs"]
) -> Float[Array, "*rows outputs"]:
    """`rows @ weight`, input by input: this fuses with what follows, where a product of so little depth would not."""
    return jnp.asarray(sum(rows[..., i, None] * weight[i] for i in range(weight.shape[0])))


@jax.custom_vjp
def product(
    rows: Float[Array, "*rows inputs"], weight: Float[Array, "inputs outputs"]
) -> Float[Array, "*rows outputs"]:
    """`rows @ weight`."""
    return rows @ weight


def _forward_few(rows: Array, weight: Array) -> tuple[Array, tuple[Array, Array]]:
    return few_inputs(rows, weight), (rows, weight)


def _backward_few(kept: tuple[Array, Array], slope: Array) -> tuple[Array, Array]:
    rows, weight = kept
    return slope @ weight.T, _flat(rows).T @ _flat(slope)


def _forward(rows: Array, weight: Array) -> tuple[Array, tuple[Array, Array]]:
    return rows @ weight, (rows, weight)


def _backward(kept: tuple[Array, Array], slope: Array) -> tuple[Array, Array]:
    """Slopes are turned once, in memory of their own; the compiler is kept from folding that into the product again."""
    rows, weight = kept
    turned = lax.optimization_barrier(lax.optimization_barrier(_flat(slope)).T)
    return slope @ weight.T, lax.optimization_barrier(turned @ _flat(rows)).T


def _flat(rows: Array) -> Array:
    return rows.reshape(-1, rows.shape[-1])


few_inputs.defvjp(_forward_few, _backward_few)
product.defvjp(_forward, _backward)
