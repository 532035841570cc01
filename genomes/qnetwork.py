"""Q-network: a small multilayer perceptron that puts a value on each action.

The first layer is kept in two parts, one that reads market features and one that reads the account: the market's part
does not depend on what the agent did, so it is computed for whole chunks of bars outside the rollout's scan.
Damage follows the units: a unit is its incoming weights and bias, and it is re-drawn, silenced and handed on whole.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from genomes.products import few_inputs, product
from genomes.species import Carry, Quantiles, Shape

__all__ = ["Network", "QNetwork", "Settings", "make"]


class Layer(NamedTuple):
    """A dense layer."""

    weight: Float[Array, "*batch inputs outputs"]
    bias: Float[Array, "*batch outputs"]


class Network(NamedTuple):
    """The genome: weights of one network."""

    market: Float[Array, "*batch features first"]
    account: Float[Array, "*batch account first"]
    bias: Float[Array, "*batch first"]
    hidden: tuple[Layer, ...]
    output: Layer


@dataclasses.dataclass(frozen=True)
class Settings:
    """Shape of the network and how it varies.

    Attributes:
        hidden: units of each hidden layer.
        crossover: what a child of two receives: the `mean` of their weights, or whole `units` of either.
        mutation_rate: share of weights a mutation moves.
        redraw_rate: chance that a unit is drawn anew when its network mutates, times the mutation's strength.
        damage: largest share of units a scar of severity 1 re-draws.
    """

    hidden: tuple[int, ...] = dataclasses.field(default=(32, 32), metadata={"ge": 1})
    crossover: Literal["mean", "units"] = "mean"
    mutation_rate: float = dataclasses.field(default=0.25, metadata={"ge": 0.0, "le": 1.0})
    redraw_rate: float = dataclasses.field(default=0.05, metadata={"ge": 0.0, "le": 1.0})
    damage: float = dataclasses.field(default=0.25, metadata={"ge": 0.0, "le": 1.0})

    def problems(self, where: str) -> list[str]:
        """What is wrong with the settings, one line each."""
        return [] if self.hidden else [f"{where}.hidden: expected at least one layer, for example [32, 32]"]


def make(settings: Settings, shape: Shape) -> "QNetwork":
    """The species with these settings, connected as `shape` says."""
    return QNetwork(settings, shape)


@dataclasses.dataclass(frozen=True)
class QNetwork:
    """The species; see `genomes.species.Species` for what each function promises."""

    settings: Settings
    shape: Shape
    name: str = "qnetwork"
    context: int = 0
    sparse: bool = False

    @property
    def products(self) -> int:
        """Two operations for each weight that is no bias."""
        return 2 * sum(math.prod(shape) for shape, _ in self._parts if len(shape) > 1)

    @property
    def work(self) -> float:
        """Its products, nearly at the pace of large ones, and what is done to each unit beside."""
        return 1.1 * self.products + 80.0 * self.units

    @property
    def units(self) -> int:
        """Hidden units of all layers, first layer first."""
        return sum(self.settings.hidden)

    def init(self, key: PRNGKeyArray, quantiles: Quantiles) -> Network:  # noqa: ARG002 - the interface's
        """He's normal initialisation (He et al. 2015); biases are zero."""
        return self._fresh(key)

    def mutate(
        self,
        key: PRNGKeyArray,
        genome: Network,
        strength: Float[Array, ""],
        quantiles: Quantiles,  # noqa: ARG002 - the interface's
    ) -> Network:
        """Gaussian steps on a share of the weights, in their layer's initial scale; now and then a unit anew."""
        chance_key, noise_key = jax.random.split(key)
        chances = jax.random.uniform(chance_key, (self._size + self.units,))
        noise, fresh = (self._scaled(half) for half in jax.random.normal(noise_key, (2, self._size)))
        hit = _network(self._split(chances[: self._size] < self.settings.mutation_rate))
        varied: Network = jax.tree.map(
            lambda leaf, moves, step: leaf + jnp.where(moves, strength * step, 0.0), genome, hit, noise
        )
        redrawn = chances[self._size :] < self.settings.redraw_rate * jnp.clip(strength, 0.0, 1.0)
        return self._replace_units(varied, _unbiased(fresh), redrawn, silence=False)

    def crossover(self, key: PRNGKeyArray, first: Network, second: Network) -> Network:
        """The mean of both parents, or each unit, with its incoming weights and bias, from either with equal chance.

        Parents are mostly kin, so their mean is a network too. What selection liked in both by luck differs and is
        averaged away, what it liked for good reason stays (genetic repair, Beyer 1995).
        """
        if self.settings.crossover == "mean":
            mixed: Network = jax.tree.map(lambda own, other: 0.5 * (own + other), first, second)
            return mixed
        takes = jax.random.bernoulli(key, 0.5, (self.units + len(self.shape.actions),))
        child = self._replace_units(first, second, takes[: self.units], silence=False)
        takes = takes[self.units :]
        output = Layer(
            jnp.where(takes, second.output.weight, first.output.weight),
            jnp.where(takes, second.output.bias, first.output.bias),
        )
        return child._replace(output=output)

    def distance(self, first: Network, second: Network) -> Float[Array, ""]:
        """Root mean square difference over all weights, each in units of its layer's initial scale."""
        pairs = zip(jax.tree.leaves(first), jax.tree.leaves(second), self._parts, strict=True)
        squares = [jnp.sum(((a - b) / scale) ** 2) for a, b, (_, scale) in pairs]
        return jnp.sqrt(sum(squares) / self._size)

    def damage(
        self,
        key: PRNGKeyArray,
        genome: Network,
        activity: Float[Array, "units"],
        severity: Float[Array, ""],
        quantiles: Quantiles,  # noqa: ARG002 - the interface's
    ) -> tuple[Network, Float[Array, "units"]]:
        """The most active units lose what they knew: incoming weights new, bias and outgoing weights zero."""
        count = jnp.ceil(jnp.clip(severity, 0.0, 1.0) * self.settings.damage * self.units)
        rank = jnp.argsort(jnp.argsort(-activity))
        hit = rank < count
        return self._replace_units(genome, self._fresh(key), hit, silence=True), hit.astype(jnp.float32)

    def initial_carry(self, rows: int) -> Carry:  # noqa: ARG002 - the interface's
        """Nothing: a perceptron has no memory."""
        return ()

    def encode(self, genome: Network, features: Float[Array, "bars rows features"]) -> Float[Array, "bars rows code"]:
        """The market's part of the first layer, before the non-linearity."""
        return features @ genome.market + genome.bias

    def values(
        self,
        genome: Network,
        code: Float[Array, "rows code"],
        account: Float[Array, "rows account"],
        carry: Carry,
    ) -> tuple[Float[Array, "rows actions"], Carry]:
        """Action values of one bar of many episodes."""
        layers = self._hidden(genome, code + few_inputs(account, genome.account))
        return product(layers[-1], genome.output.weight) + genome.output.bias, carry

    def activity(
        self, genome: Network, features: Float[Array, "bars rows features"], account: Float[Array, "bars rows account"]
    ) -> Float[Array, "bars rows units"]:
        """Each unit's |output| times the absolute weights it speaks through, as a share of its layer."""
        layers = self._hidden(genome, self.encode(genome, features) + account @ genome.account)
        outgoing = [layer.weight for layer in genome.hidden] + [genome.output.weight]
        spoken = [jnp.abs(h) * jnp.abs(w).sum(-1) for h, w in zip(layers, outgoing, strict=True)]
        shares = [s / jnp.maximum(s.sum(-1, keepdims=True), 1e-30) for s in spoken]
        return jnp.concatenate(shares, axis=-1)

    def learnable(self, genome: Network) -> Network:
        """Every weight."""
        every: Network = jax.tree.map(lambda _: True, genome)
        return every

    def _fresh(self, key: PRNGKeyArray) -> Network:
        """A network as new."""
        return _unbiased(self._scaled(jax.random.normal(key, (self._size,))))

    def _hidden(self, genome: Network, first: Float[Array, "*rows first"]) -> list[Array]:
        """Outputs of all hidden layers, from the first layer's sums."""
        layers = [jax.nn.relu(first)]
        for layer in genome.hidden:
            layers.append(jax.nn.relu(product(layers[-1], layer.weight) + layer.bias))
        return layers

    @property
    def _parts(self) -> list[tuple[tuple[int, ...], float]]:
        """Shape of every leaf, and the standard deviation of its layer's weights when new, in the order of leaves."""
        sizes, actions = self.settings.hidden, len(self.shape.actions)
        first = math.sqrt(2.0 / (self.shape.features + self.shape.account))
        parts: list[tuple[tuple[int, ...], float]] = [
            ((self.shape.features, sizes[0]), first),
            ((self.shape.account, sizes[0]), first),
            ((sizes[0],), first),
        ]
        for inputs, outputs in itertools.pairwise(sizes):
            scale = math.sqrt(2.0 / inputs)
            parts += [((inputs, outputs), scale), ((outputs,), scale)]
        last = math.sqrt(1.0 / sizes[-1])
        return [*parts, ((sizes[-1], actions), last), ((actions,), last)]

    @property
    def _size(self) -> int:
        """Weights of one network."""
        return sum(math.prod(shape) for shape, _ in self._parts)

    def _split(self, flat: Array) -> list[Array]:
        """One number for each weight, leaf by leaf. One long draw compiles and runs faster than one for each leaf."""
        ends = list(itertools.accumulate(math.prod(shape) for shape, _ in self._parts))
        pieces = zip(jnp.split(flat, ends[:-1]), self._parts, strict=True)
        return [piece.reshape(shape) for piece, (shape, _) in pieces]

    def _scaled(self, standard: Float[Array, "weights"]) -> Network:
        """Standard normal numbers at the scale each weight is initialised with."""
        leaves = zip(self._split(standard), self._parts, strict=True)
        return _network([leaf * scale for leaf, (_, scale) in leaves])

    def _replace_units(self, genome: Network, donor: Network, hit: Bool[Array, "units"], *, silence: bool) -> Network:
        """`genome` with the hit units' incoming weights from `donor`; `silence` zeroes their bias and what they say."""
        hits = jnp.split(hit, list(itertools.accumulate(self.settings.hidden))[:-1])

        def incoming(own: Array, other: Array, units: Array) -> Array:
            return jnp.where(units, other, own)

        def bias(own: Array, other: Array, units: Array) -> Array:
            return jnp.where(units, 0.0 if silence else other, own)

        def outgoing(weight: Array, units: Array) -> Array:
            return jnp.where(units[:, None], 0.0, weight) if silence else weight

        hidden = tuple(
            Layer(outgoing(incoming(own.weight, other.weight, into), out_of), bias(own.bias, other.bias, into))
            for own, other, into, out_of in zip(genome.hidden, donor.hidden, hits[1:], hits[:-1], strict=True)
        )
        return Network(
            market=incoming(genome.market, donor.market, hits[0]),
            account=incoming(genome.account, donor.account, hits[0]),
            bias=bias(genome.bias, donor.bias, hits[0]),
            hidden=hidden,
            output=Layer(outgoing(genome.output.weight, hits[-1]), genome.output.bias),
        )


def _unbiased(network: Network) -> Network:
    """The network with biases of zero."""
    hidden = tuple(Layer(layer.weight, jnp.zeros_like(layer.bias)) for layer in network.hidden)
    output = Layer(network.output.weight, jnp.zeros_like(network.output.bias))
    return network._replace(bias=jnp.zeros_like(network.bias), hidden=hidden, output=output)


def _network(leaves: Sequence[Array]) -> Network:
    """A network from its leaves, in their order."""
    market, account, bias, *rest = leaves
    layers = [Layer(weight, own) for weight, own in zip(rest[::2], rest[1::2], strict=True)]
    return Network(market, account, bias, tuple(layers[:-1]), layers[-1])
