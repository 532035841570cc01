"""Descent by chance alone, against what Wright, Fisher, Moran and Kingman say of it."""

import numpy as np
import polars as pl
import pytest

from arena.schemas import LINEAGE
from experiments.lineage.metrics import mean_pairwise_distance, mrca_depth, phylogeny
from experiments.lineage.neutral import coalescence_probability, neutral, neutral_table
from experiments.lineage.sweeps import coalescence
from experiments.lineage.tree import alive, depth, tree_of

MODELS = [(12, 1.0), (12, 0.25), (12, 1 / 12), (2, 1.0), (2, 0.5)]


@pytest.mark.parametrize(("population", "replaced"), MODELS)
def test_as_many_live_and_are_born_in_every_generation(population: int, replaced: float) -> None:
    tree = neutral(population, 200, replaced=replaced, seed=1)
    born = round(population * replaced)
    assert coalescence(tree)["living"].to_list() == [population] * 201
    assert np.bincount(tree.born).tolist() == [population] + [born] * 200
    parent_died = tree.died[tree.parent]
    child = ~tree.is_root
    assert (tree.born[tree.parent][child] < tree.born[child]).all()  # the parent lived in the generation before
    assert ((parent_died < 0) | (parent_died >= tree.born - 1))[child].all()
    assert alive(tree).sum() == population


@pytest.mark.parametrize(("population", "replaced"), MODELS)
def test_pairs_have_a_common_ancestor_a_generation_before_as_often_as_expected(
    population: int, replaced: float
) -> None:
    """Every parent of c children that lives on makes c (c - 1) / 2 + c such pairs, one that dies the former alone."""
    generations = 6_000
    tree = neutral(population, generations, replaced=replaced, seed=2)
    child = np.flatnonzero(~tree.is_root)
    births = np.stack([tree.parent[child], tree.born[child]])
    (parent, born), counts = np.unique(births, axis=1, return_counts=True)
    lives_on = (tree.died[parent] < 0) | (tree.died[parent] >= born)
    met = (counts * (counts - 1) / 2 + counts * lives_on).sum() / generations / (population * (population - 1) / 2)
    expected = coalescence_probability(population, replaced)
    # The share of one generation has at most the spread of a single pair.
    assert met == pytest.approx(expected, abs=5 * np.sqrt(expected / generations))


def test_the_probability_of_the_two_models_in_the_books() -> None:
    assert coalescence_probability(50) == pytest.approx(1 / 50)  # Wright and Fisher
    assert coalescence_probability(50, 1 / 50) == pytest.approx(2 / 50**2)  # Moran


def test_two_of_a_population_that_is_replaced_are_twice_its_size_apart() -> None:
    """Lines of Wright and Fisher meet N generations back on average, so N births up and N down lie between two."""
    size, runs, generations = 20, 60, 220
    found = [phylogeny(neutral(size, generations, seed=seed)) for seed in range(runs)]
    assert all(one.roots == 1 for one in found)
    distances = [mean_pairwise_distance(one) for one in found]
    assert np.mean(distances) == pytest.approx(2 * size, abs=5 * np.std(distances) / np.sqrt(runs))
    assert np.std(distances) < 2 * size
    # And all of them 2 N (1 - 1/N) back (Kingman 1982), with a spread near N; small populations come close to that.
    ages = [generations - mrca_depth(one) for one in found]
    assert np.mean(ages) == pytest.approx(2 * size * (1 - 1 / size), rel=0.25)


def test_lines_have_as_many_births_as_agents_are_replaced() -> None:
    """Back from a living agent its line meets a birth in a generation with probability k / N."""
    tree = neutral(40, 4000, replaced=0.25, seed=4)
    assert depth(tree)[alive(tree)].mean() == pytest.approx(4000 * 0.25, rel=0.1)


def test_the_same_arguments_give_the_same_tree() -> None:
    first, second, other = (neutral(9, 50, replaced=0.4, crossover=0.5, seed=seed) for seed in (6, 6, 7))
    for name in ("id", "parent", "second", "born", "died"):
        assert (getattr(first, name) == getattr(second, name)).all()
    assert (first.parent != other.parent).any()


def test_second_parents_are_others_of_the_same_generation() -> None:
    tree = neutral(10, 400, replaced=0.5, crossover=0.3, seed=8)
    both = np.flatnonzero(tree.second >= 0)
    assert len(both) / (400 * 5) == pytest.approx(0.3, abs=0.06)
    assert (tree.second[both] != tree.parent[both]).all()
    died = tree.died[tree.second[both]]
    assert (tree.born[tree.second[both]] < tree.born[both]).all()
    assert ((died < 0) | (died >= tree.born[both] - 1)).all()
    assert (neutral(10, 5).second == -1).all()


def test_the_table_is_the_tree() -> None:
    arguments = {"replaced": 0.5, "crossover": 0.5, "seed": 9}
    tree, table = neutral(6, 30, **arguments), neutral_table(6, 30, **arguments)
    assert table.schema == pl.Schema(LINEAGE)
    again = tree_of(table)
    for name in ("id", "parent", "second", "born", "died"):
        assert (getattr(tree, name) == getattr(again, name)).all()
    assert table["depth"].to_list() == depth(tree).tolist()
    assert table["cause"].null_count() == alive(tree).sum()
    operators = {"founder": tree.is_root, "crossover": tree.second >= 0}
    for name, mask in operators.items():
        assert (table["operator"] == name).to_list() == mask.tolist()
    assert (table["operator"] == "mutation").sum() == len(tree) - sum(mask.sum() for mask in operators.values())


@pytest.mark.parametrize(
    "wrong",
    [
        {"population": 0},
        {"generations": -1},
        {"replaced": 0.0},
        {"replaced": 1.5},
        {"crossover": 2.0},
        {"population": 1, "crossover": 0.5},
    ],
)
def test_what_is_no_population_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"population|lineage"):
        neutral(**{"population": 4, "generations": 3, **wrong})
