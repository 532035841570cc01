"""Drawn genomes against the brains themselves: whoever reads the drawing comes to the same action values."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray

from agents.observation import ACCOUNT_VIEW
from experiments.report.facts.genomes import genome_facts
from genomes.forest import Forest
from genomes.qnetwork import Layer, Network
from genomes.registry import make_species, settings_class
from genomes.species import Shape, Species
from genomes.trees import Trees
from markets.scaling import Scaler

FEATURES = [f"feature_{number}" for number in range(6)]
SHAPE = Shape(len(FEATURES), len(ACCOUNT_VIEW))
SCALER = Scaler(tuple(FEATURES), np.linspace(-3.0, 40.0, 6), np.linspace(0.01, 9.0, 6), 5.0)
ROWS = 400


def network(hidden: tuple[int, ...]) -> tuple[Species, Network]:
    """The species, and a network of it."""
    rng = np.random.default_rng(8)

    def drawn(*shape: int) -> NDArray[np.float32]:
        return rng.normal(size=shape).astype(np.float32)

    layers = [Layer(drawn(*pair), drawn(pair[1])) for pair in itertools.pairwise((*hidden, 3))]
    genome = Network(
        drawn(len(FEATURES), hidden[0]), drawn(4, hidden[0]), drawn(hidden[0]), tuple(layers[:-1]), layers[-1]
    )
    return make_species("qnetwork", settings_class("qnetwork")(hidden=hidden), SHAPE), genome


def forest(layout: str, depth: int, market: int, state: int) -> tuple[Species, Forest]:
    """The species, and a forest of it; thresholds lie on a grid between the values that rows have."""
    settings = settings_class("forest")(layout=layout, depth=depth, market_trees=market, state_trees=state)
    species = make_species("forest", settings, SHAPE)
    rng, plan = np.random.default_rng(9), species.layout

    def trees(count: int, inputs: int) -> Trees:
        return Trees(
            rng.integers(0, inputs, (count, plan.nodes)).astype(np.int32),
            (np.round(rng.normal(size=(count, plan.nodes)), 1) + 0.05).astype(np.float32),
            rng.random((count, plan.nodes)) < 0.5,
            np.round(rng.normal(size=(count, plan.leaves, 3)), 2).astype(np.float32),
        )

    bias = rng.normal(size=3).astype(np.float32)
    return species, Forest(bias, trees(market, len(FEATURES)), trees(state, len(FEATURES) + len(ACCOUNT_VIEW)))


def seen(rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rows of features and of accounts."""
    return (
        np.round(rng.normal(size=(ROWS, len(FEATURES))), 1).astype(np.float32),
        np.round(rng.normal(size=(ROWS, len(ACCOUNT_VIEW))), 1).astype(np.float32),
    )


def true_values(species: Species, genome: Any, features: NDArray[Any], account: NDArray[Any]) -> NDArray[Any]:
    """What the brain itself says [rows, actions]."""

    def said(genome: Any, features: jax.Array, account: jax.Array) -> jax.Array:
        code = jax.tree.map(lambda leaf: leaf[0], species.encode(genome, features[None]))
        return species.values(genome, code, account, species.initial_carry(ROWS))[0]

    return np.asarray(jax.jit(said)(jax.tree.map(jnp.asarray, genome), features, account))


def walked(node: dict[str, Any], row: dict[str, float], *, raw: bool) -> NDArray[Any]:
    """What a drawn tree says to a row of scaled numbers, or of numbers in units of the features."""
    while "values" not in node:
        right = row[node["feature"]] >= node["threshold" if raw else "scaled"]
        node = node["right" if right else "left"]
    return np.asarray(node["values"])


@pytest.mark.parametrize("hidden", [(5,), (7, 4)])
def test_a_network_is_drawn_weight_for_weight(hidden: tuple[int, ...]) -> None:
    species, genome = network(hidden)
    facts = genome_facts(genome, species, FEATURES, None)
    assert (facts["kind"], facts["activation"]) == ("network", "relu")
    assert facts["layers"][0]["inputs"] == [*FEATURES, *ACCOUNT_VIEW]
    assert facts["layers"][-1]["outputs"] == ["neutral", "buy", "sell"]
    assert [len(layer["outputs"]) for layer in facts["layers"]] == [*hidden, 3]
    features, account = seen(np.random.default_rng(0))
    signal = np.concatenate([features, account], axis=1).astype(np.float64)
    for number, layer in enumerate(facts["layers"]):
        assert np.shape(layer["weights"]) == (len(layer["inputs"]), len(layer["outputs"]))
        if number:
            assert layer["inputs"] == facts["layers"][number - 1]["outputs"]
            signal = np.maximum(signal, 0.0)
        signal = signal @ np.asarray(layer["weights"]) + np.asarray(layer["bias"])
    np.testing.assert_allclose(signal, true_values(species, genome, features, account), atol=3e-3)


@pytest.mark.parametrize("layout", ["oblivious", "ordinary"])
def test_a_forest_is_drawn_question_for_question(layout: str) -> None:
    species, genome = forest(layout, 4, 5, 3)
    facts = genome_facts(genome, species, FEATURES, SCALER)
    features, account = seen(np.random.default_rng(1))
    raw = features.astype(np.float64) * SCALER.scale + SCALER.centre
    names = [*FEATURES, *ACCOUNT_VIEW]
    said = {True: np.zeros((ROWS, 3)), False: np.zeros((ROWS, 3))}
    for scaled in (True, False):
        matrix = np.concatenate([features if scaled else raw, account], axis=1)
        for index, row in enumerate(matrix):
            own = dict(zip(names, row, strict=True))
            said[scaled][index] = facts["bias"] + sum(
                walked(tree["root"], own, raw=not scaled) for tree in facts["trees"]
            )
    true = true_values(species, genome, features, account)
    np.testing.assert_allclose(said[True], true, atol=1e-4)
    np.testing.assert_array_equal(said[False], said[True])
    assert {tree["sees"] for tree in facts["trees"]} == {"market", "account"}


def test_what_no_row_reaches_and_what_changes_nothing_is_not_drawn() -> None:
    species, genome = forest("ordinary", 2, 2, 0)
    market = genome.market._replace(
        feature=np.asarray([[1, 1, 1], [0, 2, 3]], np.int32),
        threshold=np.asarray([[0.5, 0.9, -1.0], [0.0, 0.0, 0.0]], np.float32),
        nan_right=np.asarray([[False, False, False], [False, True, False]]),
        leaf=np.asarray(
            [[[1, 0, 0], [9, 9, 9], [9, 9, 9], [0, 1, 0]], [[2, 0, 0], [2, 0, 0], [0, 0, 3], [0, 4, 0]]], np.float32
        ),
    )
    facts = genome_facts(genome._replace(market=market), species, FEATURES, None)
    first, second = (tree["root"] for tree in facts["trees"])
    # At the root already: below 0.5 the question for 0.9 is answered, from 0.5 on the one for −1.
    assert first["feature"] == "feature_1"
    assert (first["scaled"], first["threshold"], first["missing"]) == (0.5, None, "left")
    assert first["left"] == {"values": [1.0, 0.0, 0.0]}
    assert first["right"] == {"values": [0.0, 1.0, 0.0]}
    assert second["left"] == {"values": [2.0, 0.0, 0.0]}
    assert second["right"]["feature"] == "feature_3"
    assert facts["asked"] == {"feature_1": 1, "feature_0": 1, "feature_3": 1}
    silent = market._replace(leaf=np.zeros_like(market.leaf))
    assert genome_facts(genome._replace(market=silent), species, FEATURES, None)["trees"] == []
    assert genome_facts(genome._replace(market=silent), species, FEATURES, None)["silent"] == 2


def test_any_other_genome_is_listed() -> None:
    genome = {"level": np.asarray([1.0, 3.0], np.float32), "side": np.asarray(True), "none": np.zeros((0, 2))}
    other = make_species("forest", settings_class("forest")(), SHAPE)
    facts = genome_facts(genome, other, FEATURES, None)
    assert facts == {
        "kind": "other",
        "text": "level  float32 2: 1 to 3, mean 2, deviation 1\nnone  float64 0 × 2: nothing\nside  bool 1: True",
    }
