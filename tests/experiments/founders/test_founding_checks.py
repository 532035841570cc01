"""What founders need is looked for before anything is made ready, and what an ensemble says is brought into
proportion."""

from pathlib import Path

import numpy as np
import pytest

from experiments.founders.founding import RANDOM, check_founders, in_proportion, suited_layout
from experiments.founders.training import TrainingSettings
from genomes.forest import Forest, ForestSpecies, Settings, make
from genomes.species import Shape
from genomes.trees import Trees
from markets.errors import UserError


def checked(path: str | tuple[str, ...] | None) -> str:
    """A check of founders from these files."""
    return check_founders("file", {"forest": {}}, TrainingSettings(path=path))


@pytest.mark.parametrize("path", [None, (), "", ("",)])
def test_a_path_must_be_named(path: str | tuple[str, ...] | None) -> None:
    with pytest.raises(UserError, match=r"^training.path: founders from a file need one; name a saved model, or a"):
        checked(path)


def test_a_path_that_is_no_file_is_refused_in_one_line(tmp_path: Path) -> None:
    known = tmp_path / "model.json"
    known.write_text("{}")
    assert checked(str(known)) == checked((str(known), str(known))) == "file"
    with pytest.raises(UserError, match=r"^training.path: .*none.json: no such file$"):
        checked((str(known), str(tmp_path / "none.json")))
    with pytest.raises(UserError, match=r"^training.path: .*: is a folder; name a file in it$"):
        checked(str(tmp_path))
    with pytest.raises(
        UserError, match=r"^training.path: m+.*cannot be read \(File name too long\); name a saved model"
    ):
        checked("m" * 300)


def test_the_layout_is_that_of_the_founders_trees_unless_somebody_asks_for_one() -> None:
    for nothing in (None, {}, {"layout": None}):
        assert suited_layout(RANDOM, nothing) == suited_layout("catboost", nothing) == {"layout": None}
        assert suited_layout("xgboost", nothing) == {"layout": "ordinary"}
    assert suited_layout("xgboost", {"layout": "oblivious", "depth": 2}) == {"layout": "oblivious", "depth": 2}


def forest(species: ForestSpecies, scale: float) -> Forest:
    """A genome whose leaves deviate so much, a silent tree among them."""
    random = np.random.default_rng(3)

    def kind(count: int) -> Trees:
        nodes = (count, species.layout.nodes)
        leaf = (scale * random.normal(size=(count, species.layout.leaves, 3))).astype(np.float32)
        leaf[-1] = 0.0
        return Trees(np.zeros(nodes, np.int32), np.zeros(nodes, np.float32), np.zeros(nodes, bool), leaf)

    return Forest(np.ones(3, np.float32), kind(species.settings.market_trees), kind(species.settings.state_trees))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 300.0])
def test_founders_are_set_apart_as_one_value_of_a_new_leaf_deviates_to_the_next_power_of_two(scale: float) -> None:
    species = make(Settings(depth=4, market_trees=12, state_trees=4), Shape(3, 4))
    given = forest(species, scale)
    made = in_proportion(given, species)
    factor = float(made.bias[0])
    assert np.log2(factor) == round(np.log2(factor))
    np.testing.assert_array_equal(made.market.leaf, given.market.leaf * np.float32(factor))
    leaf = np.concatenate([made.market.leaf[:-1], made.state.leaf[:-1]])
    spoken = np.sqrt(np.mean((leaf - leaf.mean(axis=-1, keepdims=True)) ** 2))
    assert 2**-0.5 <= spoken / species.leaf_scale <= 2**0.5
    # New trees deviate from their mean over the three actions by 0.82 of that.
    assert np.sqrt(np.mean((leaf - leaf.mean(axis=-1, keepdims=True)) ** 2) / np.mean(leaf**2)) == pytest.approx(
        (2 / 3) ** 0.5, rel=0.05
    )
    silent = in_proportion(forest(species, 0.0), species)
    assert float(silent.bias[0]) == 1.0
