"""Whole runs in which agents learn: stopped and gone on with, written at other intervals, recorded and checked.

What is kept with `baldwinian` is what is kept with `lamarckian` and more, so the latter is left to the soak.
"""

import re
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file
from small_runs import SMALL, arena, assert_same, crashing, evolve

from experiments.runs.checkpoint import last_checkpoint
from experiments.runs.directory import RunDirectory

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("plainly_compiled", "cache", "no_table")]

QUIET = "terminal.progress=false"


def learning(kind: str) -> tuple[str, ...]:
    return (*SMALL, f"learning={kind}", "learning.every=8", "learning.batch=16", "archive.candidates=1", QUIET)


@pytest.mark.parametrize("kind", ["baldwinian", pytest.param("lamarckian", marks=pytest.mark.soak)])
def test_a_run_that_learns_goes_on_to_the_same_bits_whatever_its_intervals(
    kind: str, tmp_path: Path, program: list[jax.stages.Compiled], quick: None
) -> None:
    program.clear()  # of the other kind
    study = learning(kind)
    whole, _ = evolve(tmp_path / "whole", study=study)
    with crashing(4):
        words = (*study, f"runs_dir={tmp_path}/cut", "record.flush=1", "record.checkpoint=3")
        assert arena("evolve", *words)[0] == 130
    cut = RunDirectory(tmp_path / "cut" / whole.root.name)
    code, said, complaint = arena("resume", str(cut.root))
    assert code == 0, complaint
    assert "going on after 3 generations" in said
    assert_same(whole, cut)

    generations = whole.read("generations")
    for column in ("loss", "td_error"):
        assert generations[column].is_finite().all()
        assert (generations[column] > 0).all()
    path = last_checkpoint(whole)
    assert path is not None
    kept = {name.split("learner.")[1] for name in load_file(path) if "learner." in name}
    assert {name.partition(".")[0] for name in kept} == {"optimiser", *(["birth"] if kind == "baldwinian" else [])}


def test_learning_is_part_of_what_a_run_is_and_said_to_take_more(tmp_path: Path) -> None:
    found = {}
    for kind in ("none", "lamarckian", "baldwinian"):
        code, said, complaint = arena("evolve", *learning(kind), f"runs_dir={tmp_path}", "check=true")
        assert code == 0, complaint
        found[kind] = re.findall(r"run (\w{12})", said)[0]
        assert re.search(r"  needs   about .* to compile, .* a generation\n", said)
    assert len(set(found.values())) == 3
    code, _, complaint = arena("evolve", *SMALL, "learning=darwinian", f"runs_dir={tmp_path}")
    assert code == 2
    assert "learning" in complaint
    assert not np.any(list(tmp_path.iterdir()))
