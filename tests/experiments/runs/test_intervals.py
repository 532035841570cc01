"""How often a run writes and where it pauses are nobody's business but its own: neither changes a row or a bit."""

import itertools
from pathlib import Path

import jax
import pytest
from small_runs import SMALL, arena, assert_same, crashing, evolve, without_compiling_again, without_table

from experiments.runs.directory import RunDirectory

QUIET = "terminal.progress=false"
GENERATIONS = 12
FLUSH, CHECKPOINT = (1, 3, 7), (1, 2, 5)

pytestmark = pytest.mark.usefixtures("plainly_compiled", "cache", "quick")


@pytest.fixture(scope="module")
def reference(
    cache: Path, program: list[jax.stages.Compiled], tmp_path_factory: pytest.TempPathFactory
) -> RunDirectory:
    with pytest.MonkeyPatch.context() as patch:
        without_table(patch)
        without_compiling_again(patch, program)
        return evolve(tmp_path_factory.mktemp("runs"), QUIET, f"evolution.generations={GENERATIONS}")[0]


def spans(run: RunDirectory) -> list[tuple[int, int]]:
    """Generations of each part."""
    return [
        (int(first), int(last)) for first, last, _ in (p.name.split("-") for p in sorted(run.table("births").iterdir()))
    ]


@pytest.mark.parametrize(("flush", "checkpoint"), [*itertools.product(FLUSH, CHECKPOINT)])
def test_no_interval_changes_a_row_or_the_last_state(
    flush: int, checkpoint: int, reference: RunDirectory, tmp_path: Path
) -> None:
    intervals = (f"record.flush={flush}", f"record.checkpoint={checkpoint}", "record.keep=99")
    run, _ = evolve(tmp_path, QUIET, f"evolution.generations={GENERATIONS}", *intervals)
    assert run.root.name == reference.root.name
    due = [g for g in range(1, GENERATIONS + 1) if g % checkpoint == 0 or g == GENERATIONS]
    assert sorted(int(path.stem) for path in run.checkpoints.iterdir()) == due
    assert {last + 1 for _, last in spans(run)} >= set(due)
    assert max(last - first + 1 for first, last in spans(run)) == min(flush, checkpoint)
    assert_same(reference, run)


@pytest.mark.parametrize("stops", [(1, GENERATIONS), (5, GENERATIONS), (2, 3, 7, GENERATIONS)])
def test_a_run_extended_in_steps_equals_one_started_that_long(
    stops: tuple[int, ...], reference: RunDirectory, tmp_path: Path
) -> None:
    for begun, stop in zip((0, *stops), stops, strict=False):
        intervals = (f"record.flush={1 + stop % 3}", f"record.checkpoint={1 + stop % 4}")
        run, said = evolve(tmp_path, QUIET, f"evolution.generations={stop}", *intervals)
        assert (f"going on after {begun} generations" in said) == (begun > 0)
        assert run.read("generations")["generation"].max() == stop - 1
    assert_same(reference, run)
    assert [session["generation"] for session in run.read_manifest()["sessions"]] == [0, *stops[:-1]]


def test_a_step_of_an_extension_that_is_interrupted_changes_nothing(reference: RunDirectory, tmp_path: Path) -> None:
    run, _ = evolve(tmp_path, QUIET, "evolution.generations=4")
    run.config.write_text(run.config.read_text().replace("generations: 4", f"generations: {GENERATIONS}"))
    run.lineage.unlink()
    assert arena("resume", str(run.root))[0] == 0
    assert_same(reference, run)


def test_a_run_that_is_killed_and_pruned_on_its_way_goes_on_to_the_same_bits(
    reference: RunDirectory, tmp_path: Path
) -> None:
    words = (QUIET, "record.flush=2", "record.checkpoint=3", "record.keep=9")
    run, _ = evolve(tmp_path, *words, "evolution.generations=7")
    assert arena("prune", str(run.root), "--yes")[0] == 0
    with crashing(10):
        assert arena("evolve", *SMALL, *words, f"runs_dir={tmp_path}", f"evolution.generations={GENERATIONS}")[0]
    there = len(list(run.checkpoints.iterdir()))
    assert arena("prune", str(run.root), "--yes")[0] == 0
    assert (there, len(list(run.checkpoints.iterdir()))) == (2, 1)
    _, said = evolve(tmp_path, *words, f"evolution.generations={GENERATIONS}")
    assert "going on after 9 generations" in said
    assert_same(reference, run)
