"""What every test shares: shape checks at package boundaries, an order, programs that compile fast, and real bars."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import pytest
from jax._src import compiler
from jaxtyping import install_import_hook

install_import_hook(["agents", "arena", "genomes", "markets"], "typechecking.check")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no worker is left with a long one when the other has nothing to do."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="module")
def plainly_compiled() -> Iterator[None]:
    """Programs, here and in processes started from here, are compiled no better than they have to be.

    For modules that test what a run does and leaves, not its bits or numbers: compiling is most of what they cost. XLA's
    emitters of fused kernels, which users have, take most of the time that is left without optimizations.
    """
    before = jax.config.values["jax_disable_most_optimizations"]
    true_options = compiler.get_compile_options

    def plain_options(*args: Any, **options: Any) -> Any:
        made = true_options(*args, **options)
        made.env_option_overrides = [*made.env_option_overrides, ("xla_cpu_use_fusion_emitters", False)]
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "true")
        patch.setenv("XLA_FLAGS", f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false".strip())
        jax.config.update("jax_disable_most_optimizations", True)
        if jax.default_backend() == "cpu":
            patch.setattr(compiler, "get_compile_options", plain_options)
        jax.clear_caches()  # what was compiled otherwise is not mixed in, neither here nor afterwards
        yield
        jax.config.update("jax_disable_most_optimizations", before)
        jax.clear_caches()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real bars, where there is one: ARENA_SHARED_DATA, or `shared/data` beside the project."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("ARENA_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real bars: {folder} is not a folder (set ARENA_SHARED_DATA)")
    return folder
