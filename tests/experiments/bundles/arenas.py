"""The arena beside a bundle: a champion rebuilt from its manifest and leaves, on any bars, to compare the two.

Nothing of the runner is used here: species, roll-out, tape and trees are those of evolution.
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from agents.memory import Memory, MemorySettings
from agents.trust import TrustSettings
from arena.journey import Seen, witness
from arena.rollout import Rollout, Trader
from genomes.genes import Genes
from genomes.registry import make_species, settings_class
from genomes.species import ActionSpace, Shape, genome_form
from genomes.trees import answers, by_input
from markets.bars import Bars
from markets.features import FeatureSettings
from markets.preparation import Market, prepare
from markets.regimes import RegimeSettings
from markets.rules import BrokerRules
from markets.scaling import Scaler, ScalingSettings
from markets.settings import build
from markets.splits import SplitSettings
from markets.windows import WindowSettings

__all__ = ["Twin", "journey", "leaves_of", "tape_of", "twin_of", "values_of"]


class Twin(NamedTuple):
    """A champion as the arena has it; leaves of the trader without an axis of agents."""

    setup: Rollout
    trader: Trader
    manifest: Mapping[str, Any]


def twin_of(manifest: Mapping[str, Any], bundle: Path) -> Twin:
    """The champion of a bundle, in the arena's own types."""
    leaves = load_file(bundle / "champion.safetensors")
    name, own, actions = manifest["species"]["name"], manifest["species"]["settings"], manifest["actions"]
    shape = Shape(
        len(manifest["features"]["list"]), 4, ActionSpace(tuple(actions["names"]), tuple(actions["exposures"]))
    )
    species = make_species(name, build(settings_class(name), own), shape)
    form = Trader(genome_form(species), Genes(*(0,) * len(Genes._fields)), Memory(0, 0), 0)
    paths, structure = jax.tree_util.tree_flatten_with_path(form)
    names = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in paths]
    assert sorted(names) == sorted(leaves)
    memory, trust = manifest["memory"], manifest["trust"]
    setup = Rollout(
        species=species,
        rules=build(BrokerRules, manifest["broker"]),
        memory=MemorySettings(enabled=memory["acts"], reach=memory["reach"], strength=memory["strength"]),
        trust=TrustSettings(scales_capital=trust["scales_capital"], floor=trust["floor"]),
        chunk=64,
        stops=manifest["stops"],
    )
    return Twin(setup, jax.tree.unflatten(structure, [leaves[name] for name in names]), manifest)


def tape_of(manifest: Mapping[str, Any], bars: Bars) -> Market:
    """The market that evolution would have played on, of these bars and with the champion's scaler."""
    seen = manifest["features"]
    listed = seen["list"]
    centre, scale = (np.asarray([one[key] for one in listed], np.float64) for key in ("centre", "scale"))
    return prepare(
        [bars],
        feature_settings=build(FeatureSettings, seen["settings"]),
        regime_settings=build(RegimeSettings, manifest["regimes"]["settings"]),
        split_settings=SplitSettings(),
        scaling_settings=ScalingSettings(clip=seen["clip"]),
        rules=build(BrokerRules, manifest["broker"]),
        costs={},
        windows=WindowSettings(32, 4, 8),
        scaler=Scaler(tuple(one["name"] for one in listed), centre, scale, seen["clip"]),
    )


def journey(twin: Twin, market: Market, *, piece: int = 2048) -> Seen:
    """What the champion saw, thought and asked from its first bar behind the warm-up on, one continuous account.

    Leaves [bars, …], the last bar, at whose close nothing can be ordered, left out.
    """
    rows = len(market.time)
    agent = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], twin.trader)
    first = twin.manifest["warm_up"] - 1
    parts = [
        part
        for _, part in witness(twin.setup, agent, market.tape, np.asarray([first]), np.asarray([rows]), piece=piece)
    ]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:, 0, 0], *parts)


def values_of(twin: Twin, features: NDArray[np.float32], view: NDArray[np.float32]) -> NDArray[np.float32]:
    """The arena's action values for these observations [rows, actions]."""
    return np.asarray(_values(twin.setup.species, twin.trader.genome, features, view))


@functools.partial(jax.jit, static_argnums=0)
def _values(species: Any, genome: Any, features: Any, view: Any) -> Any:
    with jax.default_matmul_precision("highest"):
        code = jax.tree.map(lambda leaf: leaf[0], species.encode(genome, features[None]))
        return species.values(genome, code, view, ())[0]


def leaves_of(twin: Twin, features: NDArray[np.float32], view: NDArray[np.float32]) -> NDArray[np.intp]:
    """Which leaf each tree ends in [rows, trees], by the arena's own way of answering: each leaf says its number."""
    genome, species = twin.trader.genome, twin.setup.species
    return np.asarray(_leaves(species, genome, np.concatenate([features, view], axis=1))).astype(np.intp)


@functools.partial(jax.jit, static_argnums=0)
def _leaves(species: Any, genome: Any, inputs: Any) -> Any:
    seen = by_input(inputs)
    said = []
    for kind in (genome.market, genome.state):
        trees, last, _ = kind.leaf.shape
        if trees:
            numbers = jnp.broadcast_to(jnp.arange(last, dtype=jnp.float32)[None, :, None], (trees, last, 1))
            said.append(answers(species.layout, kind._replace(leaf=numbers), seen)[:, 0])
    return jnp.concatenate(said).T
