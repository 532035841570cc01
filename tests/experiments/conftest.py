"""What tests of runs share: compiled programs that are kept, and the costly table at the end left out."""

from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from small_runs import compiled_once, without_compiling_again, without_table


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where compiled programs are kept between the runs of a session."""
    with compiled_once(tmp_path_factory) as folder:
        yield folder


@pytest.fixture
def no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs end without the table of champions."""
    without_table(monkeypatch)


@pytest.fixture(scope="module")
def program() -> list[jax.stages.Compiled]:
    """The one generation that `quick` runs of a module compile; empty until the first has."""
    return []


@pytest.fixture
def quick(no_table: None, monkeypatch: pytest.MonkeyPatch, program: list[jax.stages.Compiled]) -> None:
    """Runs share one compiled generation and end without the table."""
    without_compiling_again(monkeypatch, program)
