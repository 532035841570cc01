"""The species interface: what every kind of individual must be able to do, and nothing about any one of them.

A species is one module here, one file in `conf/species`, and one line in `genomes.registry`. Its functions are written
for ONE individual and are pure; the arena maps them over agents. They never see money, files or other agents.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

__all__ = ["DEFAULT_ACTIONS", "ActionSpace", "Genome", "Shape", "Species"]

Genome = Any
"""A pytree of arrays: one individual's brain, as its species writes it down."""

Carry = Any
"""A pytree of arrays a recurrent brain hands from bar to bar; `()` where there is none."""


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
    """

    features: int
    account: int
    actions: ActionSpace = DEFAULT_ACTIONS


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
    def units(self) -> int:
        """How many units can be damaged: hidden units of a network, trees of a forest."""

    def init(self, key: PRNGKeyArray) -> Genome:
        """A founder."""

    def mutate(self, key: PRNGKeyArray, genome: Genome, strength: Float[Array, ""]) -> Genome:
        """A varied copy; strength 0 changes nothing."""

    def crossover(self, key: PRNGKeyArray, first: Genome, second: Genome) -> Genome:
        """A child of two; of two equal parents it is that parent."""

    def distance(self, first: Genome, second: Genome) -> Float[Array, ""]:
        """How far apart two genomes are: 0 for equal ones, symmetric, never negative."""

    def damage(
        self, key: PRNGKeyArray, genome: Genome, activity: Float[Array, "units"], severity: Float[Array, ""]
    ) -> tuple[Genome, Float[Array, "units"]]:
        """The genome with its most active units partly re-drawn, and 1 for each unit that was hit.

        Severity in [0, 1] sets how many; 0 hits none and changes nothing.
        """

    def initial_carry(self, rows: int) -> Carry:
        """The carry before the first bar, for each of `rows` rows."""

    def encode(self, genome: Genome, features: Float[Array, "history rows features"]) -> Float[Array, "bars rows code"]:
        """Everything of the decision that does not depend on the account, for a chunk of bars at once.

        The leading axis is time: `context` bars of history, then the chunk's own; one code for each of the latter.
        """

    def values(
        self,
        genome: Genome,
        code: Float[Array, "rows code"],
        account: Float[Array, "rows account"],
        carry: Carry,
    ) -> tuple[Float[Array, "rows actions"], Carry]:
        """Action values for one bar of many rows (episodes × instruments), and the carry for the next."""

    def activity(
        self, genome: Genome, code: Float[Array, "rows code"], account: Float[Array, "rows account"]
    ) -> Float[Array, "rows units"]:
        """How much each unit spoke at each row: its share in the action values, never negative."""

    def learnable(self, genome: Genome) -> Any:
        """A tree of booleans like the genome: which leaves gradient learning may move."""
