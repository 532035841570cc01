"""What every test shares: shape checks at package boundaries, an order, programs that compile fast, and real bars."""

import os
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from jaxtyping import install_import_hook
from plainly import plainly

install_import_hook(["agents", "arena", "genomes", "markets"], "typechecking.check")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no worker is left with a long one when the other has nothing to do."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="module")
def plainly_compiled() -> Iterator[None]:
    """Programs, here and in processes started from here, are compiled no better than they have to be.

    For modules that test what a run does and leaves, not its bits or numbers: compiling is most of what they cost.
    """
    with plainly():
        jax.clear_caches()  # what was compiled otherwise is not mixed in, neither here nor afterwards
        yield
    jax.clear_caches()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real bars, where there is one: ARENA_SHARED_DATA, or `shared/data` beside the project."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("ARENA_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real bars: {folder} is not a folder (set ARENA_SHARED_DATA)")
    return folder
