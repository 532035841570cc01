"""The width of vectors that programs are compiled for is a matter of speed alone."""

import jax
import pytest

from arena.bench import Size, World, judging


@pytest.mark.slow
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="vectors of a CPU")
def test_the_width_of_vectors_changes_no_bit() -> None:
    world = World(Size(64, 2, 32))
    given = world.state.populations[0], world.state.seed, world.market.tape
    traced = judging(world).lower(*given)
    wide, narrow = (
        jax.device_get(traced.compile({"xla_cpu_prefer_vector_width": width})(*given)) for width in (512, 128)
    )
    for first, second in zip(jax.tree.leaves(wide), jax.tree.leaves(narrow), strict=True):
        assert first.tobytes() == second.tobytes()
