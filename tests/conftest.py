"""What every test shares: shape checks at package boundaries, and where real bars may be found."""

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

install_import_hook(["agents", "arena", "genomes", "markets"], "typechecking.check")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real bars, where there is one: ARENA_SHARED_DATA, or `shared/data` beside the project."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("ARENA_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real bars: {folder} is not a folder (set ARENA_SHARED_DATA)")
    return folder
