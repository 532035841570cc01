"""Genes stay in their ranges, are drawn evenly over their logarithm, and mix whole."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genomes.genes import Genes, GeneSettings, crossover_genes, init_genes, mutate_genes
from markets.errors import UserError
from markets.settings import check

pytestmark = pytest.mark.usefixtures("plainly_compiled")

SETTINGS = GeneSettings(size=(0.3, 0.3), step=0.5)
MANY = 2000


@pytest.fixture(scope="module")
def founders() -> Genes:
    return jax.jit(jax.vmap(lambda key: init_genes(key, SETTINGS)))(jax.random.split(jax.random.key(0), MANY))


@pytest.fixture(scope="module")
def children(founders: Genes) -> Genes:
    vary = jax.jit(jax.vmap(lambda key, own: mutate_genes(key, own, SETTINGS)))
    for generation in range(5):
        founders = vary(jax.random.split(jax.random.key(generation + 1), MANY), founders)
    return founders


@pytest.mark.parametrize("name", Genes._fields)
def test_genes_stay_in_their_range(name: str, founders: Genes, children: Genes) -> None:
    low, high = (np.float32(end) for end in getattr(SETTINGS, name))
    for made in (getattr(founders, name), getattr(children, name)):
        assert np.isfinite(made).all()
        assert made.min() >= low
        assert made.max() <= high


def test_a_range_of_one_point_never_moves(founders: Genes, children: Genes) -> None:
    np.testing.assert_array_equal(founders.size, np.float32(0.3))
    np.testing.assert_array_equal(children.size, np.float32(0.3))


def test_founders_are_drawn_evenly_over_the_logarithm(founders: Genes) -> None:
    for name in ("stop", "learning_rate", "mutation"):
        low, high = np.log(getattr(SETTINGS, name))
        share = (np.log(np.asarray(getattr(founders, name), float)) - low) / (high - low)
        assert stats.kstest(share, "uniform").pvalue > 1e-3, name


def test_a_step_is_a_share_of_the_ranges_log_width(founders: Genes) -> None:
    settings = GeneSettings(step=0.02)
    middle = Genes(*(jnp.full(MANY, np.sqrt(np.prod(getattr(settings, name)))) for name in Genes._fields))
    moved = jax.jit(jax.vmap(lambda key, own: mutate_genes(key, own, settings)))(
        jax.random.split(jax.random.key(3), MANY), middle
    )
    for name in Genes._fields:
        width = np.log(getattr(settings, name)[1] / getattr(settings, name)[0])
        steps = np.log(np.asarray(getattr(moved, name)) / np.asarray(getattr(middle, name))) / width
        np.testing.assert_allclose(steps.std(), 0.02, rtol=0.08)
        np.testing.assert_allclose(steps.mean(), 0.0, atol=0.002)


def test_no_step_leaves_genes_as_they_are(founders: Genes) -> None:
    still = jax.vmap(lambda key, own: mutate_genes(key, own, GeneSettings(size=(0.3, 0.3), step=0.0)))(
        jax.random.split(jax.random.key(3), MANY), founders
    )
    for old, new in zip(founders, still, strict=True):
        np.testing.assert_allclose(new, old, rtol=2e-6)


def test_a_childs_genes_come_whole_from_either_parent() -> None:
    first, second = (Genes(*(jnp.full(MANY, value) for _ in Genes._fields)) for value in (1.0, 2.0))
    child = jax.vmap(crossover_genes)(jax.random.split(jax.random.key(4), MANY), first, second)
    for gene in child:
        assert set(np.unique(gene)) == {1.0, 2.0}
        np.testing.assert_allclose((np.asarray(gene) == 1.0).mean(), 0.5, atol=0.05)
    assert abs(np.corrcoef(child.size, child.stop)[0, 1]) < 0.1, "each gene is drawn by itself"


@pytest.mark.parametrize("span", [(0.0, 1.0), (2.0, 1.0), (1.0,), (1.0, 2.0, 3.0)])
def test_impossible_ranges_are_refused(span: tuple[float, ...]) -> None:
    with pytest.raises(UserError, match=r"genes\.stop: expected \[low, high\] with 0 < low <= high"):
        check(GeneSettings(stop=span), "genes")
