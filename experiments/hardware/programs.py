"""Compiled programs of a process that runs several studies: equal ones are compiled once, finished ones released.

JAX keeps whatever it traced and compiled for as long as the process lives, which in a long sweep over sizes is memory
without bound. So everything is let go after each job, and equal programs (those of jobs that differ in their seed, say)
come back from a folder that lasts as long as the sweep.
"""

import contextlib
import gc
import tempfile
from collections.abc import Callable, Iterator

import jax
from jax.experimental.compilation_cache import compilation_cache

__all__ = ["shared_programs"]

_LEAST_SECONDS = 0.05
"""What compiles faster is not worth a file."""


@contextlib.contextmanager
def shared_programs() -> Iterator[Callable[[], None]]:
    """Keep compiled programs on disk meanwhile; yields the function that releases those in memory.

    A folder that the user gave JAX for this stays in use.
    """
    known = jax.config.values["jax_compilation_cache_dir"]
    least = jax.config.values["jax_persistent_cache_min_compile_time_secs"]
    with contextlib.ExitStack() as stack:
        if not known:
            try:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="arena-", ignore_cleanup_errors=True))
            except OSError:  # no room for temporary files: every job compiles for itself
                yield _release
                return
            stack.callback(_keep_in, None, least)
            _keep_in(folder, _LEAST_SECONDS)
        yield _release


def _keep_in(folder: str | None, least: float) -> None:
    """Have JAX keep compiled programs in a folder, or nowhere."""
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", least)
    compilation_cache.reset_cache()


def _release() -> None:
    """Let go of arrays that nobody names any more, then of programs."""
    gc.collect()
    jax.clear_caches()
