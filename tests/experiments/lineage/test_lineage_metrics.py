"""Metrics, equal to phylotrackpy's on random families and on a real run, with extinct lines and without."""

import math

import polars as pl
import pytest
from families import families, loaded, tracked
from hypothesis import given, settings
from phylotrackpy.systematics import Systematics

from experiments.lineage.metrics import (
    Metrics,
    metrics,
)
from experiments.lineage.tree import tree_of


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
@settings(max_examples=150, deadline=None)
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
@settings(max_examples=150, deadline=None)
def test_extinct_lines_are_measured_as_phylotrackpy_reads_a_file(
    tmp_path_factory: pytest.TempPathFactory, table: pl.DataFrame
) -> None:
    found = metrics(tree_of(table), extinct=True)
    assert found.extinct is True
    assert_equal(found, loaded(table, tmp_path_factory.getbasetemp() / "everybody.csv"))
