"""The way onto a GPU, walked as far as a machine without one can: the program is made for it, and its settings chosen.

Making the whole generation for "cuda" finds what has no GPU form; what cannot be seen here is how fast it runs there.
"""

import dataclasses
import re
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import jax
import numpy as np
import pytest
from jax.sharding import Mesh
from small_worlds import founded, make_settings, market_of

from arena import plan as plan_module
from arena.generation import make_generation
from arena.plan import make_plan, suited_block

GPUS = [SimpleNamespace(platform="gpu", process_index=0, id=number) for number in range(4)]


@pytest.fixture(scope="module")
def program() -> str:
    """The whole generation of a small world of both species, made for CUDA but not compiled."""
    forest = {"layout": "ordinary", "depth": 2, "market_trees": 2, "state_trees": 1}
    settings = make_settings(species={"qnetwork": {"hidden": [4]}, "forest": forest})
    market = market_of(settings)
    plan, state = founded(settings, market)
    traced = make_generation(plan).trace(state, market.tape)
    return str(traced.lower(lowering_platforms=("cuda",)).as_text())


def mesh_of(devices: Sequence[Any], axes: Sequence[str] = ("islands",)) -> Mesh:
    """A mesh of devices that are not there."""
    mesh: Mesh = Mock(spec=Mesh, devices=np.asarray(devices), axis_names=tuple(axes))
    return mesh


def test_nothing_of_a_generation_is_for_cpus_alone(program: str) -> None:
    called = set(re.findall(r"custom_call @([\w.$]+)", program))
    known = {"Sharding", "SPMDFullToShardShape", "SPMDShardToFullShape", "cu_threefry2x32_ffi", "mhlo.topk"}
    known.add("LayoutConstraint")  # rows that trees read, input by input
    assert "LayoutConstraint" in called
    assert called <= known, f"custom calls without a GPU form: {sorted(called - known)}"
    assert "cpu" not in program.lower()
    assert "callback" not in program


def test_every_matrix_product_is_full_float32(program: str) -> None:
    products = [line for line in program.splitlines() if "stablehlo.dot_general" in line]
    assert len(products) > 5
    assert all("precision = [HIGHEST, HIGHEST]" in line for line in products)
    assert "f64" not in program


def test_a_gpu_is_told_nothing_about_vectors_of_a_cpu() -> None:
    plan = make_plan(make_settings(), features=3)
    assert dataclasses.replace(plan, mesh=mesh_of(GPUS)).compiler_options == {}
    if jax.default_backend() == "cpu":
        assert plan.compiler_options == {"xla_cpu_prefer_vector_width": 512}


def test_islands_are_divided_over_all_gpus_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module.jax, "devices", lambda: GPUS)
    monkeypatch.setattr(plan_module, "Mesh", mesh_of)
    changes: dict[str, Any] = {"evolution": {"agents": 800, "islands": 8}, "device": {"count": None, "block": None}}
    plan = make_plan(make_settings(**changes), features=3)
    assert [device.id for device in plan.mesh.devices] == [0, 1, 2, 3]
    assert plan.block == plan.slots == 100  # whole islands at once
    changes["device"] = {"count": 2, "block": 7}
    plan = make_plan(make_settings(**changes), features=3)
    assert plan.mesh.devices.size == 2
    assert plan.block == 5  # the largest divisor of an island that is asked for


def test_a_block_is_small_on_a_cpu_and_bounded_on_a_gpu() -> None:
    plan = make_plan(make_settings(device={"block": None, "count": 1}), features=3)
    if jax.default_backend() == "cpu":
        assert suited_block(plan.mesh, 32) == 32
    gpu = mesh_of(GPUS)
    assert suited_block(gpu, 32) * 32 == 2**20
    assert suited_block(gpu, 2**30) == 1
