"""Forest: an ensemble of trees that puts a value on each action, the sum of what its trees say.

Some trees read market features alone: what they say does not depend on what the agent did, so it is worked out for
whole chunks of bars outside the rollout's scan. The others may read the account too; of these the turns at nodes that
ask for the market are worked out beforehand, and only what is left is done bar by bar. A unit is a tree.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int32, PRNGKeyArray

from genomes import tree_variation as vary
from genomes.numbers import Numbers, spend
from genomes.species import Carry, Quantiles, Shape
from genomes.trees import (
    DEEPEST,
    WORD,
    Layout,
    Trees,
    answers,
    by_input,
    choose,
    leaf_of,
    ordered,
    settled,
    threshold_bounds,
    told,
    turn,
    turns,
)

__all__ = ["Forest", "ForestSpecies", "Settings", "make"]


class Forest(NamedTuple):
    """The genome: the trees of one forest."""

    bias: Float[Array, "*batch actions"]
    """What all trees start from."""
    market: Trees
    """Trees that read market features."""
    state: Trees
    """Trees that read the account's numbers too, which come after the market's features."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Shape of the forest and how it varies; chances are times the mutation's strength.

    Attributes:
        layout: `oblivious` trees ask one question a level, `ordinary` ones a question a node; None is oblivious, or
            what the trees need that founders come with.
        depth: questions on the way to a leaf.
        market_trees: trees that read market features alone.
        state_trees: trees that may read the account too.
        crossover: what a child of two receives: trees of either (`swap`), or of trees that ask for the same inputs in
            both the `mean` too.
        shift: share of thresholds a mutation moves.
        leaf: share of leaves' values a mutation moves.
        feature: chance that a node asks a new question.
        graft: chance that a tree receives a subtree of another.
        prune: chance that a subtree of a tree becomes a constant.
        split: chance that a constant subtree of a tree asks a question again.
        regrow: chance that a tree is dropped and grown anew.
        damage: largest share of trees a scar of severity 1 drops and grows anew, silent.
    """

    layout: Literal["oblivious", "ordinary"] | None = None
    depth: int = dataclasses.field(default=4, metadata={"ge": 1, "le": DEEPEST})
    market_trees: int = dataclasses.field(default=12, metadata={"ge": 0})
    state_trees: int = dataclasses.field(default=4, metadata={"ge": 0})
    crossover: Literal["mean", "swap"] = "mean"
    shift: float = dataclasses.field(default=0.25, metadata={"ge": 0.0, "le": 1.0})
    leaf: float = dataclasses.field(default=0.25, metadata={"ge": 0.0, "le": 1.0})
    feature: float = dataclasses.field(default=0.05, metadata={"ge": 0.0, "le": 1.0})
    graft: float = dataclasses.field(default=0.05, metadata={"ge": 0.0, "le": 1.0})
    prune: float = dataclasses.field(default=0.05, metadata={"ge": 0.0, "le": 1.0})
    split: float = dataclasses.field(default=0.25, metadata={"ge": 0.0, "le": 1.0})
    regrow: float = dataclasses.field(default=0.05, metadata={"ge": 0.0, "le": 1.0})
    damage: float = dataclasses.field(default=0.25, metadata={"ge": 0.0, "le": 1.0})

    def problems(self, where: str) -> Iterator[str]:
        """What is wrong with the settings, one line each."""
        if not self.market_trees + self.state_trees:
            yield f"{where}.market_trees: a forest needs a tree at least, of one kind or the other"


def make(settings: Settings, shape: Shape) -> "ForestSpecies":
    """The species with these settings, connected as `shape` says."""
    return ForestSpecies(settings, shape)


class Code(NamedTuple):
    """What the market says to one forest; leaves lead with bars."""

    said: Float[Array, "bars actions rows"]
    """Sum of the bias and the market trees."""
    turns: Int32[Array, "bars trees words rows"]
    """Where each state tree would turn, a bit a node; meaningless at nodes that ask for the account."""


@dataclasses.dataclass(frozen=True)
class ForestSpecies:
    """The species; see `genomes.species.Species` for what each function promises."""

    settings: Settings
    shape: Shape
    name: str = "forest"
    context: int = 0
    sparse: bool = True

    @property
    def products(self) -> int:
        """None: trees compare and choose."""
        return 0

    @property
    def work(self) -> float:
        """A comparison for each question and a choice for each leaf and action; bar by bar, of state trees, dearer."""
        questions, choices = self.layout.nodes, (self.layout.leaves - 1) * len(self.shape.actions)
        market, state = 4.0 * questions + 7.0 * choices, 350.0 * questions + 21.0 * choices
        return self.settings.market_trees * market + self.settings.state_trees * state

    @property
    def units(self) -> int:
        """Trees, those of the market first."""
        return self.settings.market_trees + self.settings.state_trees

    @functools.cached_property
    def layout(self) -> Layout:
        """Of all its trees."""
        return Layout(self.settings.depth, self.settings.layout != "ordinary")

    def init(self, key: PRNGKeyArray, quantiles: Quantiles) -> Forest:
        """Trees of random questions; leaves are normal, so that all trees together have a deviation of one."""
        return self._settled(spend(key, lambda numbers: self._grow(numbers, quantiles)))

    def mutate(self, key: PRNGKeyArray, genome: Forest, strength: Float[Array, ""], quantiles: Quantiles) -> Forest:
        """All operators in turn, those that change the most first; then leaves that no row reaches are settled."""

        def varied(numbers: Numbers) -> Forest:
            hit = numbers.chance(self._chance("regrow", strength), self.units)
            regrown = self._regrown(genome, self._grow(numbers, quantiles), hit)
            market = self._varied(numbers, regrown.market, quantiles[: self.shape.features], 0, strength)
            state = self._varied(numbers, regrown.state, quantiles, self.shape.account, strength)
            moved = numbers.chance(self.settings.leaf, *genome.bias.shape)
            step = strength * self.leaf_scale * numbers.normal(*genome.bias.shape)
            return self._settled(Forest(genome.bias + jnp.where(moved, step, 0.0), market, state))

        return spend(key, varied)

    def crossover(self, key: PRNGKeyArray, first: Forest, second: Forest) -> Forest:
        """Trees of both parents; see `Settings.crossover`. A child of equal parents is that parent."""
        mix = vary.mean_of_kin if self.settings.crossover == "mean" else vary.swap

        def crossed(numbers: Numbers) -> Forest:
            market, state = (
                mix(numbers, *both) for both in ((first.market, second.market), (first.state, second.state))
            )
            return self._settled(Forest(vary.mean(first.bias, second.bias), market, state))

        return spend(key, crossed)

    def distance(self, first: Forest, second: Forest) -> Float[Array, ""]:
        """How differently they ask, and how differently they answer.

        The mean over nodes of 1 where they ask for different inputs, else of half the distance of thresholds, at most
        1; plus the root mean square difference of leaves and bias, in units of a new leaf.
        """
        asked, said = [jnp.zeros(0)], [(first.bias - second.bias).ravel()]
        for a, b in ((first.market, second.market), (first.state, second.state)):
            apart = jnp.minimum(0.5 * jnp.abs(a.threshold - b.threshold), 1.0)
            apart = jnp.where(a.threshold == b.threshold, 0.0, apart)  # infinite ones of saved models too
            asked.append(jnp.where(a.feature == b.feature, apart, 1.0).ravel())
            said.append((a.leaf - b.leaf).ravel())
        return jnp.concatenate(asked).mean() + jnp.sqrt((jnp.concatenate(said) ** 2).mean()) / self.leaf_scale

    def damage(
        self,
        key: PRNGKeyArray,
        genome: Forest,
        activity: Float[Array, "units"],
        severity: Float[Array, ""],
        quantiles: Quantiles,
    ) -> tuple[Forest, Float[Array, "units"]]:
        """The most active trees are dropped; new ones grow in their place and say nothing yet."""
        count = jnp.ceil(jnp.clip(severity, 0.0, 1.0) * self.settings.damage * self.units)
        hit = jnp.argsort(jnp.argsort(-activity)) < count
        fresh = spend(key, lambda numbers: self._grow(numbers, quantiles))
        silent = [trees._replace(leaf=jnp.zeros_like(trees.leaf)) for trees in (fresh.market, fresh.state)]
        return self._regrown(genome, fresh._replace(market=silent[0], state=silent[1]), hit), hit.astype(jnp.float32)

    def initial_carry(self, rows: int) -> Carry:  # noqa: ARG002 - the interface's
        """Nothing: trees have no memory."""
        return ()

    def encode(self, genome: Forest, features: Float[Array, "bars rows features"]) -> Code:
        """What the market trees say together, and where the market alone would turn the state trees."""
        bars, rows, _ = features.shape
        seen = by_input(features)
        said = genome.bias[:, None] + answers(self.layout, genome.market, seen).sum(0)
        turned = turns(genome.state._replace(feature=self._of_market(genome.state.feature)), seen)
        return Code(
            jnp.moveaxis(said.reshape(-1, bars, rows), 1, 0),
            jnp.moveaxis(turned.reshape(*turned.shape[:2], bars, rows), 2, 0),
        )

    def values(
        self, genome: Forest, code: Code, account: Float[Array, "rows account"], carry: Carry
    ) -> tuple[Float[Array, "rows actions"], Carry]:
        """Action values of one bar of many episodes."""
        total = list(code.said)
        for said in self._state_answers(genome, code, account):
            total = [own + more for own, more in zip(total, said, strict=True)]
        return jnp.stack(total, axis=-1), carry

    def asked(
        self, genome: Forest, features: Float[Array, "bars rows features"], account: Float[Array, "rows account"]
    ) -> Int32[Array, "trees rows"]:
        """The leaf of each tree, those of the market first, in which each row ends."""
        market, own, first = by_input(features), by_input(account), self.shape.features

        def ends(trees: Trees, value: Callable[[Array], Array]) -> Array:
            def tree(feature: Array, threshold: Array, span: Array) -> Array:
                right = [turn(value(feature[n]), threshold[n], span[n]) for n in range(self.layout.nodes)]
                return leaf_of(self.layout, right)

            place: Array = jax.vmap(tree)(trees.feature, *threshold_bounds(trees))
            return place

        def seen(feature: Array) -> Array:
            of_market = market[self._of_market(feature)]
            return jnp.where(feature >= first, own[jnp.maximum(feature - first, 0)], of_market)

        both = [ends(genome.market, lambda feature: market[feature]), ends(genome.state, seen)]
        # Kept: the compiler would rather ask all questions again wherever the answer is used.
        places: Array = lax.optimization_barrier(jnp.concatenate(both))
        return places

    def answered(self, genome: Forest, asked: Int32[Array, "trees rows"]) -> Float[Array, "rows actions"]:
        """What the leaves say in which rows end; only leaves and bias are read."""
        leaf = jnp.concatenate([genome.market.leaf, genome.state.leaf])
        return (told(self.layout, leaf, asked) + genome.bias[:, None]).T

    def activity(
        self, genome: Forest, features: Float[Array, "bars rows features"], account: Float[Array, "bars rows account"]
    ) -> Float[Array, "bars rows units"]:
        """How far each tree's answer sets the actions apart, as a share of all trees."""

        def bar(features: Array, account: Array) -> Array:
            code = jax.tree.map(lambda leaf: leaf[0], self.encode(genome, features[None]))
            state = [jnp.stack(said)[None] for said in self._state_answers(genome, code, account)]
            said = jnp.concatenate([answers(self.layout, genome.market, by_input(features)), *state])
            apart = said.max(1) - said.min(1)
            return (apart / jnp.maximum(apart.sum(0), 1e-30)).T

        spoken: Array = jax.vmap(bar)(features, account)
        return spoken

    def learnable(self, genome: Forest) -> Any:
        """What the leaves and the bias say; questions evolve."""
        learns = {"leaf", "bias"}
        return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].name in learns, genome)

    @property
    def leaf_scale(self) -> float:
        """Standard deviation of a new leaf's values."""
        return 1.0 / math.sqrt(self.units)

    def _chance(self, operator: str, strength: Float[Array, ""]) -> Float[Array, ""]:
        rate: float = getattr(self.settings, operator)
        return rate * jnp.clip(strength, 0.0, 1.0)

    def _grow(self, numbers: Numbers, quantiles: Quantiles) -> Forest:
        """A forest of new trees."""
        actions, own, seen = len(self.shape.actions), self.shape.account, self.shape.seen
        known = quantiles[: self.shape.features]
        return Forest(
            jnp.zeros(actions),
            vary.grow(numbers, self.layout, self.settings.market_trees, actions, known, 0, self.leaf_scale),
            vary.grow(numbers, self.layout, self.settings.state_trees, actions, quantiles, own, self.leaf_scale, seen),
        )

    def _varied(self, numbers: Numbers, trees: Trees, quantiles: Quantiles, own: int, strength: Array) -> Trees:
        """Trees of one kind after all operators but regrowth."""
        scale, seen = strength * self.leaf_scale, self.shape.seen
        trees = vary.graft(numbers, self.layout, trees, self._chance("graft", strength))
        trees = vary.split(numbers, self.layout, trees, quantiles, own, self._chance("split", strength), scale, seen)
        trees = vary.prune(numbers, self.layout, trees, self._chance("prune", strength))
        trees = vary.change_feature(numbers, trees, quantiles, own, self._chance("feature", strength), seen)
        trees = vary.shift(numbers, trees, quantiles, self.settings.shift, strength)
        return vary.stir(numbers, trees, self.settings.leaf, scale)

    def _regrown(self, genome: Forest, fresh: Forest, hit: Bool[Array, "units"]) -> Forest:
        market, state = jnp.split(hit, [self.settings.market_trees])
        return genome._replace(
            market=vary.regrow(genome.market, fresh.market, market), state=vary.regrow(genome.state, fresh.state, state)
        )

    def _settled(self, genome: Forest) -> Forest:
        return genome._replace(market=settled(self.layout, genome.market), state=settled(self.layout, genome.state))

    def _of_market(self, feature: Int32[Array, "*shape"]) -> Int32[Array, "*shape"]:
        """The market features among inputs; any other where the account is asked for."""
        return jnp.minimum(feature, self.shape.features - 1)

    def _state_answers(
        self, genome: Forest, code: Code, account: Float[Array, "rows account"]
    ) -> Iterator[list[Float[Array, "rows"]]]:
        """What each state tree says of each row of one bar, action by action.

        All of it is written out, so that it becomes one loop together with what is made of it: a bar has few rows, and
        each loop of its own would cost more than what it does.
        """
        first = self.shape.features
        # Stacked and read by index, which is one load; chosen among by comparisons it would take most of the time.
        seen = jnp.stack([ordered(account[..., number]) for number in range(self.shape.account)])
        threshold, span = threshold_bounds(genome.state)
        for tree, feature in enumerate(genome.state.feature):
            right = []
            for node in range(self.layout.nodes):
                value = seen[jnp.maximum(feature[node] - first, 0)]
                known = (code.turns[tree, node // WORD] >> (node % WORD)) & 1 == 1
                asked = turn(value, threshold[tree, node], span[tree, node])
                right.append(jnp.where(feature[node] >= first, asked, known))
            yield choose(self.layout, right, genome.state.leaf[tree])
