"""Compiling no better than one has to, for tests that look at what is done and not at bits or numbers."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import jax
import pytest
from jax._src import compiler

__all__ = ["plainly"]


@contextlib.contextmanager
def plainly(*, fused: bool = False) -> Iterator[None]:
    """Programs, here and in processes started from here, are compiled in about a quarter of the time.

    LLVM optimizes nothing, and kernels are not made by XLA's emitters of fused kernels, which are what users have. A
    program gives the same bits each time it runs; another one for the same numbers may round otherwise.

    Args:
        fused: have those emitters all the same.
    """
    before = jax.config.values["jax_disable_most_optimizations"]
    true_options = compiler.get_compile_options

    def plain_options(*args: Any, **options: Any) -> Any:
        made = true_options(*args, **options)
        made.env_option_overrides = [*made.env_option_overrides, ("xla_cpu_use_fusion_emitters", False)]
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "true")
        if not (before or fused) and jax.default_backend() == "cpu":
            patch.setenv("XLA_FLAGS", f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false".strip())
            patch.setattr(compiler, "get_compile_options", plain_options)
        jax.config.update("jax_disable_most_optimizations", True)
        try:
            yield
        finally:
            jax.config.update("jax_disable_most_optimizations", before)
