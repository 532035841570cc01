"""Compiling no better than one has to, for tests that look at what is done and not at bits or numbers.

Run as a script it is the `arena` command compiled so: `[sys.executable, plainly.__file__, "evolve", …]` gives the same
programs as a test that compiles plainly has, and takes them from the same cache.
"""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import jax
import pytest
from jax._src import compiler

__all__ = ["plainly"]


@contextlib.contextmanager
def plainly(*, fused: bool = False) -> Iterator[None]:
    """Programs are compiled in about a quarter of the time; in processes started from here, in two thirds of it.

    LLVM optimizes nothing, and kernels are not made by XLA's emitters of fused kernels, which are what users have. A
    program gives the same bits each time it runs; another one for the same numbers may round otherwise.

    Args:
        fused: have those emitters all the same.
    """
    before = jax.config.values["jax_disable_most_optimizations"]
    true_options = compiler.get_compile_options

    def plain_options(*args: Any, **options: Any) -> Any:
        made = true_options(*args, **options)
        if not fused and jax.default_backend() == "cpu":
            made.env_option_overrides = [*made.env_option_overrides, ("xla_cpu_use_fusion_emitters", False)]
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "true")
        if true_options.__module__ == compiler.__name__:  # else it is done already
            patch.setattr(compiler, "get_compile_options", plain_options)
        jax.config.update("jax_disable_most_optimizations", True)
        try:
            yield
        finally:
            jax.config.update("jax_disable_most_optimizations", before)


if __name__ == "__main__":
    from experiments.cli import main

    with plainly():
        sys.exit(main(sys.argv[1:]))
