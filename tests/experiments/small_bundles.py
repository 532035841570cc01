"""Small bundles for whoever needs one: champions of a small run of both species, made once a test session.

`small_bundle(factory, "forest")` is a folder to read; `a_copy` of it may be changed. The run is compiled plainly, on
a made-up market with few features, so that a bundle takes seconds at first and nothing afterwards.
"""

import shutil
from pathlib import Path
from typing import Literal

import jax
import pytest
from plainly import plainly
from small_runs import made_once, make_small

from experiments.bundles.export import Risk, export
from experiments.runs.directory import RunDirectory

__all__ = ["a_copy", "champion_of", "make_bundle", "small_bundle", "small_run"]

Species = Literal["forest", "qnetwork"]


def small_run(factory: pytest.TempPathFactory) -> RunDirectory:
    """The finished run that small bundles are of; not to be changed."""
    return RunDirectory(made_once(factory, "small", make_small))


def small_bundle(factory: pytest.TempPathFactory, species: Species = "qnetwork") -> Path:
    """The bundle of a champion of that species; not to be changed."""
    run = small_run(factory)
    return made_once(factory, f"bundle-{species}", lambda folder: make_bundle(run, species, folder))


def make_bundle(run: RunDirectory, species: Species, out: Path, *, risk: Risk | None = None) -> None:
    """Export a champion of that species, of a run of both, plainly compiled: to the same bytes whatever ran before."""
    with plainly():
        jax.clear_caches()
        export(run, str(champion_of(run, species)), out, risk=risk)
    jax.clear_caches()


def champion_of(run: RunDirectory, species: Species) -> int:
    """The last agent of that species that came into the archive."""
    births = run.read("births")
    mine = set(births.filter(births["species"] == species)["id"])
    return [identity for identity in run.read("archive")["id"] if identity in mine][-1]


def a_copy(bundle: Path, folder: Path) -> Path:
    """A bundle to change, in a folder that is there."""
    return Path(shutil.copytree(bundle, folder / "bundle"))
