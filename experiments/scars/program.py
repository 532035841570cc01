"""The compiled program: all generations of many runs, divided over devices, one run after another on each.

A run is data: its world, its seed, its arm and, for the sham, the events of its pair. So seeds, worlds and arms are one
compile, and the branches of an arm are taken or not.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Int32, UInt32

from experiments.scars.arms import Events
from experiments.scars.generation import found, turn
from experiments.scars.measures import Record
from experiments.scars.plan import ScarPlan, make_parts
from experiments.scars.worlds import FEATURES, World

__all__ = ["Runs", "make_program"]


class Runs(NamedTuple):
    """What runs are to the program."""

    seed: UInt32[Array, "runs"]
    arm: Int32[Array, "runs"]
    world: World
    given: Events
    """Leaves [runs, generations, …]."""


def make_program(plan: ScarPlan, devices: int) -> Callable[[Runs], Record]:
    """The compiled program of a plan: runs → their records, leaves [runs, generations, …].

    Args:
        plan: of the experiment.
        devices: that share the runs; each has as many, and two at least.
    """
    parts = make_parts(plan, FEATURES)
    mesh = Mesh(np.asarray(jax.devices()[:devices]), ("runs",))

    def run(own: Runs) -> Record:
        def step(agents: Any, now: tuple[Array, Events]) -> tuple[Any, Record]:
            generation, given = now
            return turn(plan, parts, own.arm, own.seed, own.world, given, agents, generation)

        begun = found(plan, parts, own.seed)
        number = jnp.arange(plan.generations, dtype=jnp.int32)
        record: Record = lax.scan(step, begun, (number, own.given))[1]
        return record

    def local(runs: Runs) -> Record:
        with jax.default_matmul_precision("highest"):
            return _one_by_one(run, runs)

    spread = PartitionSpec("runs")
    mapped = jax.shard_map(local, mesh=mesh, in_specs=spread, out_specs=spread, check_vma=False)
    cpu = mesh.devices.flat[0].platform == "cpu"
    return jax.jit(mapped, compiler_options={"xla_cpu_prefer_vector_width": 512} if cpu else {})


def _one_by_one(run: Callable[[Runs], Record], runs: Runs) -> Record:
    """`lax.map`, compiled to the same arithmetic however many runs a device has, as in `arena.generation`.

    The compiler must not see how often the loop is walked: it might unroll it, and fuse one run with the next.
    """
    count = runs.seed.shape[0]
    traced = jax.jit(run)

    def own(index: Array | int) -> Runs:
        one: Runs = jax.tree.map(lambda x: lax.dynamic_index_in_dim(x, index, keepdims=False), runs)
        return one

    def body(index: Array, done: Record) -> Record:
        put: Record = jax.tree.map(
            lambda x, one: lax.dynamic_update_index_in_dim(x, one, index, 0), done, traced(own(index))
        )
        return put

    shapes = jax.eval_shape(traced, own(0))
    empty = jax.tree.map(lambda leaf: jnp.zeros((count, *leaf.shape), leaf.dtype), shapes)
    walked: Record = lax.fori_loop(0, jnp.where(runs.arm[0] >= 0, count, 0), body, empty)
    return walked
