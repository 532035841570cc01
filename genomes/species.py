"""The species interface: what every kind of individual must be able to do, and nothing about any one of them.

A species is one module here, one file in `conf/species`, and one line in `genomes.registry`. Its functions are written
for ONE individual and are pure; the arena maps them over agents. They never see money, files or other agents.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

__all__ = [
    "DEFAULT_ACTIONS",
    "ActionSpace",
    "Asked",
    "Asking",
    "Carry",
    "Code",
    "Genome",
    "Quantiles",
    "Shape",
    "Species",
    "genome_form",
]

Genome = Any
"""A pytree of arrays: one individual's brain, as its species writes it down."""

Code = Any
"""A pytree of arrays: what a chunk of bars says to a brain before its account is known; leaves lead with [bars, …]."""

Carry = Any
"""A pytree of arrays a recurrent brain hands from bar to bar; `()` where there is none."""

Asked = Any
"""A pytree of arrays: all that the action values of some rows depend on beside what learning moves."""


Quantiles = Float[Array, "inputs points"]
"""What values each input has: market features on training rows, at evenly spaced ranks from the smallest to the
largest, then the numbers of the account over the range they usually have. All that a species may know of the world."""


@dataclasses.dataclass(frozen=True)
class ActionSpace:
    """What an agent can ask for: names, and the direction each one asks for as a multiple of its size.

    Static; it travels with every genome. Order is part of every file: neutral, buy, sell = 0, 1, 2 by default.
    """

    names: Sequence[str] = ("neutral", "buy", "sell")
    exposures: Sequence[float] = (0.0, 1.0, -1.0)

    def __post_init__(self) -> None:
        if len(self.names) != len(self.exposures) or not self.names:
            raise ValueError(f"actions: {len(self.names)} names for {len(self.exposures)} exposures")

    def __len__(self) -> int:
        return len(self.names)

    def directions(self) -> np.ndarray:
        """Target directions, float32 [actions]."""
        return np.asarray(self.exposures, np.float32)


DEFAULT_ACTIONS = ActionSpace()


@dataclasses.dataclass(frozen=True)
class Shape:
    """What a brain is connected to: counts of inputs and outputs.

    Attributes:
        features: market features a bar.
        account: numbers of the agent's own account view.
        actions: what it can ask for.
        seen: places of those numbers of the account view that are shown; None is all. The others are always 0.
    """

    features: int
    account: int
    actions: ActionSpace = DEFAULT_ACTIONS
    seen: tuple[int, ...] | None = None


@runtime_checkable
class Species(Protocol):
    """What a species gives. `self` holds its settings and `Shape`; both are static (hashable)."""

    @property
    def name(self) -> str:
        """Name in files and configuration."""

    @property
    def shape(self) -> Shape:
        """What its brains are connected to."""

    @property
    def context(self) -> int:
        """Bars of history `encode` wants before the first bar it answers for; 0 where it looks at the bar alone."""

    @property
    def products(self) -> int:
        """Operations of its matrix products for one answer: two for each weight that is no bias; 0 without any."""

    @property
    def work(self) -> float:
        """What one answer costs: operations of a matrix product that takes as long, as measured on a CPU."""

    @property
    def units(self) -> int:
        """How many units can be damaged: hidden units of a network, trees of a forest."""

    @property
    def sparse(self) -> bool:
        """Whether learning moves only the numbers that had a say in what it learns from, as the leaves of trees."""

    def init(self, key: PRNGKeyArray, quantiles: Quantiles) -> Genome:
        """A founder."""

    def mutate(self, key: PRNGKeyArray, genome: Genome, strength: Float[Array, ""], quantiles: Quantiles) -> Genome:
        """A varied copy; strength 0 changes nothing."""

    def crossover(self, key: PRNGKeyArray, first: Genome, second: Genome) -> Genome:
        """A child of two; of two equal parents it is that parent."""

    def distance(self, first: Genome, second: Genome) -> Float[Array, ""]:
        """How far apart two genomes are: 0 for equal ones, symmetric, never negative."""

    def damage(
        self,
        key: PRNGKeyArray,
        genome: Genome,
        activity: Float[Array, "units"],
        severity: Float[Array, ""],
        quantiles: Quantiles,
    ) -> tuple[Genome, Float[Array, "units"]]:
        """The genome with its most active units partly re-drawn, and 1 for each unit that was hit.

        Severity in [0, 1] sets how many; 0 hits none and changes nothing.
        """

    def initial_carry(self, rows: int) -> Carry:
        """The carry before the first bar, for each of `rows` rows."""

    def encode(self, genome: Genome, features: Float[Array, "history rows features"]) -> Code:
        """Everything of the decision that does not depend on the account, for a chunk of bars at once.

        The leading axis is time: `context` bars of history, then the chunk's own; one code for each of the latter.
        """

    def values(
        self,
        genome: Genome,
        code: Code,
        account: Float[Array, "rows account"],
        carry: Carry,
    ) -> tuple[Float[Array, "rows actions"], Carry]:
        """Action values for one bar of many rows (episodes × instruments), and the carry for the next.

        `code` is that bar's own: `encode`'s, without the axis of bars.
        """

    def activity(
        self,
        genome: Genome,
        features: Float[Array, "history rows features"],
        account: Float[Array, "bars rows account"],
    ) -> Float[Array, "bars rows units"]:
        """How much each unit spoke at each bar and row: its share in the action values, never negative."""

    def learnable(self, genome: Genome) -> Any:
        """A tree of booleans like the genome: which leaves gradient learning may move."""


@runtime_checkable
class Asking(Protocol):
    """What a species may give beside, where only part of a brain learns: the other part is then worked out by itself.

    Learning asks the same rows of a brain and of its target network, which differ in what learns alone. For brains
    without a carry: `answered(genome, asked(genome, features, account))` is what `values` says after `encode`.
    """

    def asked(
        self, genome: Genome, features: Float[Array, "history rows features"], account: Float[Array, "rows account"]
    ) -> Asked:
        """All that the action values of one bar of many rows depend on, beside the leaves that learning may move."""

    def answered(self, genome: Genome, asked: Asked) -> Float[Array, "rows actions"]:
        """The action values; only what learning may move is read of the genome."""


def genome_form(species: Species) -> Genome:
    """Shapes and types of a genome, without making one."""
    inputs = species.shape.features + species.shape.account
    return jax.eval_shape(species.init, jax.random.key(0), jax.ShapeDtypeStruct((inputs, 2), jnp.float32))
