"""Metrics, equal to phylotrackpy's on random families and on a real run, with extinct lines and without."""

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from families import families, family, loaded, tracked
from hypothesis import given, settings
from phylotrackpy.systematics import Systematics

from experiments.lineage.metrics import (
    Metrics,
    colless_like_index,
    mean_pairwise_distance,
    metrics,
    phylogeny,
    shannon_diversity,
    sum_pairwise_distance,
    variance_pairwise_distance,
)
from experiments.lineage.table import lineage
from experiments.lineage.tree import alive, root, tree_of


def assert_equal(found: Metrics, known: Systematics) -> None:
    """All that both define is the same; what is not defined is None."""
    taxa = known.get_num_active()
    assert found.taxa == taxa
    assert found.founders == known.get_num_roots()
    assert found.phylogenetic_diversity == known.get_phylogenetic_diversity()
    assert (-1 if found.mrca_depth is None else found.mrca_depth) == known.mrca_depth()
    assert found.sackin_index == known.sackin_index()
    assert found.out_degree_distribution == known.get_out_degree_distribution()
    distances = known.get_pairwise_distances(False)
    assert found.sum_pairwise_distance == known.get_sum_pairwise_distance(False)
    if distances:
        assert found.mean_pairwise_distance == pytest.approx(known.get_mean_pairwise_distance(False), rel=1e-12)
    else:
        assert found.mean_pairwise_distance is None
    if len(distances) > 1:
        assert found.variance_pairwise_distance == pytest.approx(known.get_variance_pairwise_distance(False), rel=1e-9)
    else:
        assert found.variance_pairwise_distance is None
    if found.mrca_depth is None:
        assert found.colless_like_index is None
        assert found.mean_evolutionary_distinctiveness is None
        return
    now = found.time
    assert found.colless_like_index == pytest.approx(known.colless_like_index(), rel=1e-9, abs=1e-12)
    for name in ("sum", "mean", "variance"):
        theirs = getattr(known, f"get_{name}_evolutionary_distinctiveness")(now)
        ours = getattr(found, f"{name}_evolutionary_distinctiveness")
        if name == "variance" and taxa == 1:
            assert ours is None
            assert math.isnan(theirs)
        else:
            assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)


@given(families())
@settings(max_examples=80, deadline=None)
def test_the_living_are_measured_as_phylotrackpy_measures_a_running_population(table: pl.DataFrame) -> None:
    known = tracked(table)
    found = metrics(tree_of(table))
    assert found.extinct is False
    if found.taxa:
        assert_equal(found, known)
        assert found.shannon_diversity == pytest.approx(known.calc_diversity(), abs=1e-12)
    else:
        assert known.get_num_active() == 0


@given(families())
@settings(max_examples=80, deadline=None)
def test_extinct_lines_are_measured_as_phylotrackpy_reads_a_file(
    tmp_path_factory: pytest.TempPathFactory, table: pl.DataFrame
) -> None:
    found = metrics(tree_of(table), extinct=True)
    assert found.extinct is True
    assert_equal(found, loaded(table, tmp_path_factory.getbasetemp() / "everybody.csv"))


@given(families())
@settings(max_examples=40, deadline=None)
def test_distances_over_branchings_alone_are_phylotrackpys(table: pl.DataFrame) -> None:
    seen = phylogeny(tree_of(table))
    if seen.taxa.sum() > 1:
        known = tracked(table)
        assert sum_pairwise_distance(seen, branch_only=True) == known.get_sum_pairwise_distance(True)
        if distances := known.get_pairwise_distances(True):
            mean, variance = np.mean(distances), np.var(distances, ddof=1) if len(distances) > 1 else None
            assert mean_pairwise_distance(seen, branch_only=True) == pytest.approx(mean)
            assert variance_pairwise_distance(seen, branch_only=True) == (variance and pytest.approx(variance))


@pytest.mark.parametrize("replicate", [0, 1])
def test_a_real_run_is_measured_as_phylotrackpy_measures_it(tmp_path: Path, replicate: int) -> None:
    """Its two replicates, of two islands each, apart."""
    folder = Path(__file__).parent / "small_run"
    whole = lineage(pl.read_parquet(folder / "births.parquet"), pl.read_parquet(folder / "deaths.parquet"))
    table = whole.filter(pl.col("island") // 2 == replicate)
    tree = tree_of(table)
    assert 0 < len(tree) < whole.height
    assert tree.died.max() > 0
    found = metrics(tree)
    assert found.founders > 1
    assert_equal(found, tracked(table))
    assert_equal(metrics(tree, extinct=True), loaded(table, tmp_path / "run.csv"))


def test_one_founders_line_of_a_real_run_is_measured_as_phylotrackpy_measures_it(tmp_path: Path) -> None:
    """The largest clade alone, so that what needs a common ancestor is compared too."""
    folder = Path(__file__).parent / "small_run"
    table = lineage(pl.read_parquet(folder / "births.parquet"), pl.read_parquet(folder / "deaths.parquet"))
    tree = tree_of(table)
    founder = np.bincount(root(tree)[alive(tree)]).argmax()
    clade = table.filter(pl.Series(root(tree) == founder))
    found = metrics(tree_of(clade))
    assert found.taxa > 10
    assert found.mrca_depth is not None
    assert_equal(found, tracked(clade))
    assert_equal(metrics(tree_of(clade), extinct=True), loaded(clade, tmp_path / "clade.csv"))


def test_a_tree_measured_by_hand() -> None:
    """0 has 1 and 2; 1 lives and has the living 3; 2 died and has the living 4 and 5, and 6, whose line died out."""
    table = family([None, 0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 3, 3, 3], [1, None, 3, None, None, None, 4])
    found = metrics(tree_of(table))
    assert (found.agents, found.taxa, found.founders, found.time) == (6, 4, 1, 4)
    assert found.mrca_depth == 0
    assert found.phylogenetic_diversity == 5
    distances = [1, 3, 3, 4, 4, 2]  # 1–3, 1–4, 1–5, 3–4, 3–5, 4–5
    assert found.sum_pairwise_distance == sum(distances)
    assert found.mean_pairwise_distance == np.mean(distances)
    assert found.variance_pairwise_distance == pytest.approx(np.var(distances, ddof=1))
    own = [(1 + 3) / 2, 1 / 2 + 1 + 2, 1 / 2 + 2 + 1, 1 / 2 + 2 + 1]  # 1 shares all with 3, 4 with 5 the edge 0–2
    assert found.sum_evolutionary_distinctiveness == pytest.approx(sum(own))
    assert found.variance_evolutionary_distinctiveness == pytest.approx(np.var(own, ddof=1))
    assert found.sackin_index == 1 + 1 + 2 + 2  # those of 1 and 3, then those of 4 and 5
    assert found.out_degree_distribution == {0: 3, 1: 1, 2: 2}
    assert found.shannon_diversity == 2.0
    assert found.founder_diversity == 0.0
    whole = metrics(tree_of(table), extinct=True)
    assert (whole.extinct, whole.agents, whole.taxa) == (True, 7, 5)
    assert whole.out_degree_distribution == {0: 4, 1: 1, 2: 1, 3: 1}


def test_without_a_common_ancestor_what_needs_one_is_none() -> None:
    found = metrics(tree_of(family([None, None, 0, 1, 1], [0, 0, 1, 1, 1])))
    assert (found.founders, found.mrca_depth, found.colless_like_index) == (2, None, None)
    assert found.sum_evolutionary_distinctiveness is None
    assert found.sum_pairwise_distance == 1 + 1 + 1 + 2  # within each founder's line alone
    assert found.mean_pairwise_distance == 5 / 4
    assert found.phylogenetic_diversity == 4
    assert found.founder_diversity == pytest.approx(-(0.4 * math.log2(0.4) + 0.6 * math.log2(0.6)))


def test_nobody_has_no_metrics() -> None:
    for table in (family([]), family([None, 0], [0, 1], [1, 1])):
        found = metrics(tree_of(table))
        assert (found.agents, found.taxa, found.founders) == (0, 0, 0)
        assert found.sum_pairwise_distance == 0
        assert found.out_degree_distribution == {}
        for name in ("phylogenetic_diversity", "mean_pairwise_distance", "sackin_index", "shannon_diversity"):
            assert getattr(found, name) is None


def test_diversity_counts_by_groups_as_phylotrackpy_counts_taxa() -> None:
    """Organisms like their parents are of their taxon to it."""
    known = Systematics(lambda species: species)
    for species, count in (("a", 2), ("b", 1), ("c", 3)):
        taxon = known.add_org(species)
        for _ in range(count - 1):
            known.add_org(species, taxon)
    seen = phylogeny(tree_of(family([None] * 6, [0] * 6)))
    assert shannon_diversity(seen, np.array(list("aabccc"))) == pytest.approx(known.calc_diversity())


@pytest.mark.parametrize(("leaves", "index"), [(1, 0.0), (2, 0.0), (7, 0.0)])
def test_an_even_tree_has_no_colless_index(leaves: int, index: float) -> None:
    seen = phylogeny(tree_of(family([None] + [0] * leaves, [0] + [1] * leaves, [0] + [None] * leaves)))
    assert colless_like_index(seen) == index


def test_the_colless_like_index_of_mir_rotger_and_rossello() -> None:
    """Of ((a, b), c): branches of size ln(2 + e) + 2 and 1, so their mean deviation is half the difference."""
    caterpillar = family([None, 0, 0, 1, 1], [0, 1, 1, 2, 2], [1, 2, None, None, None])
    expected = (math.log(2 + math.e) + 1) / 2
    assert colless_like_index(phylogeny(tree_of(caterpillar))) == pytest.approx(expected)
    # The same with an unbranched ancestor above (a, b): passed over, but for how phylotrackpy counts it.
    longer = family([None, 0, 0, 1, 3, 3], [0, 1, 1, 2, 3, 3], [1, 2, None, 3, None, None])
    seen = phylogeny(tree_of(longer))
    assert colless_like_index(seen, unary=False) == pytest.approx(expected)
    assert colless_like_index(seen) == pytest.approx((math.log(1 + math.e) + 1) / 2)
    assert colless_like_index(seen) == pytest.approx(tracked(longer).colless_like_index())


def test_phylotrackpy_mistakes_the_common_ancestor_where_a_file_holds_extinct_lines(tmp_path: Path) -> None:
    """It goes by numbers of children, and a file's include children whose lines died out; a tracked run's do not."""
    table = family([None, 0, 0], [0, 1, 1], [0, None, 1])
    assert loaded(table, tmp_path / "run.csv", leaves=False).mrca_depth() == 0
    assert tracked(table).mrca_depth() == metrics(tree_of(table)).mrca_depth == 1


def test_phylotrackpy_overlooks_childless_founders_where_leaves_count_as_living(tmp_path: Path) -> None:
    table = family([None, None, 0], [0, 0, 1], [0, 0, None])
    assert loaded(table, tmp_path / "run.csv", mended=False).get_num_active() == 1
    assert metrics(tree_of(table), extinct=True).taxa == 2


def test_a_time_before_a_birth_is_refused() -> None:
    with pytest.raises(ValueError, match="generation 1"):
        phylogeny(tree_of(family([None, 0])), time=0)


def test_a_long_line_and_a_wide_family_at_once() -> None:
    """Thirty thousand generations of one parent, the last with as many children: closed forms, without overflow."""
    count = 30_000
    parents = [None, *range(count - 1), *[count - 1] * count]
    table = family(parents, [*range(count), *[count] * count], [*range(1, count + 1), *[None] * count])
    found = metrics(tree_of(table))
    assert found.mrca_depth == count - 1
    assert found.sum_pairwise_distance == count * (count - 1)
    assert found.variance_pairwise_distance == 0.0
    assert found.sackin_index == count
    assert found.sum_evolutionary_distinctiveness == count
    whole = metrics(tree_of(table), extinct=True)
    assert whole.taxa == count
    alive_line = metrics(tree_of(family([None, *range(count - 1)])))
    assert alive_line.sum_pairwise_distance == pytest.approx((count**3 - count) / 6, rel=1e-12)
    assert alive_line.mean_pairwise_distance == pytest.approx((count + 1) / 3, rel=1e-12)
    assert alive_line.variance_pairwise_distance == pytest.approx((count + 1) * (count - 2) / 18, rel=1e-6)
