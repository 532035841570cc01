"""Rows a second: what many different forests answer, and what other libraries answer of one model of that size.

All answer the same made-up rows of 24 float32 numbers with 16 trees of depth 4, on all cores. A forest of the arena
puts three numbers on a row with them. A library's model is measured with one number a row, with a tree for each of
three numbers (48 trees), and, where it knows them, with trees whose leaves hold all three; its rate is that of the
fastest, and so never that of a model which does more than the arena's.
"""

import dataclasses
import functools
import importlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float
from numpy.typing import NDArray

from arena.bench import Measurement, timed
from arena.plan import largest_divisor, suited_block
from genomes.registry import make_species, settings_class
from genomes.species import Shape, Species

__all__ = ["RowSize", "Rows", "measure_forests", "measure_lightgbm", "measure_xgboost"]

_FEATURES, _TREES, _DEPTH, _OUTPUTS = 24, 16, 4, 3
_EPISODES = 32  # with `chunk` bars of so many episodes the arena encodes as many rows at once as by default
_SEED = 20_260
_TRIES = 3  # of each size of a batch, the best of which is taken
_KNOWN = 20_000  # rows a model is trained on


@dataclasses.dataclass(frozen=True)
class RowSize:
    """How much is answered.

    Attributes:
        forests: that differ.
        rows: that each of them answers, a multiple of 512.
        batches: rows given to a library's model at once; the best counts.
    """

    forests: int
    rows: int
    batches: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Rows:
    """What one result was measured on.

    Attributes:
        forests: how many, or models.
        batch: rows each was given at once.
        found: its `agent_bars` are answers: of one forest, of one row.
        outputs: numbers in an answer.
        tried: answers a second by kind of model, the best of all batches; ours is of one kind.
    """

    forests: int
    batch: int
    found: Measurement
    outputs: int = _OUTPUTS
    tried: Mapping[str, float] = dataclasses.field(default_factory=dict)


def measure_forests(layout: str, size: RowSize, repeat: int) -> Rows:
    """Different random forests that all read the same rows, through `encode` of the species, as judging calls it.

    Forests lie over devices and in blocks as agents do, and rows come in chunks of as many as a default rollout
    encodes at once. Every answer is written to memory, three numbers each.

    Args:
        layout: of the trees.
        size: how much.
        repeat: times it is measured.
    """
    own = settings_class("forest")(layout=layout, depth=_DEPTH, market_trees=_TREES, state_trees=0)
    species = make_species("forest", own, Shape(features=_FEATURES, account=0))
    devices = jax.devices()
    mesh = Mesh(np.asarray(devices[: largest_divisor(size.forests, len(devices))]), ("forests",))
    quantiles = jnp.broadcast_to(jnp.linspace(-2.0, 2.0, 65), (_FEATURES, 65))
    keys = jax.random.split(jax.random.key(_SEED), size.forests)
    forests = jax.jit(jax.vmap(species.init, (0, None)))(keys, quantiles)
    bars = jnp.asarray(_made_up(size.rows)).reshape(-1, _EPISODES, _FEATURES)
    options = {"xla_cpu_prefer_vector_width": 512} if devices[0].platform == "cpu" else {}
    began = time.perf_counter()
    answer = jax.jit(_answering(species, mesh), compiler_options=options).lower(forests, bars).compile()
    took = time.perf_counter() - began
    seconds, busy = timed(lambda: jax.block_until_ready(answer(forests, bars)), repeat)
    return Rows(size.forests, size.rows, Measurement(size.forests * size.rows, seconds, busy, took))


def _answering(species: Species, mesh: Mesh) -> Callable[[Any, Float[Array, "bars rows features"]], Array]:
    """What maps forests, leaves [forests, …], and bars to answers [forests, chunks, bars, actions, rows]."""
    block, chunk = suited_block(mesh, _EPISODES), 512 // _EPISODES

    def local(forests: Any, bars: Array) -> Array:
        chunks = bars.reshape(-1, chunk, *bars.shape[1:])
        count = jax.tree.leaves(forests)[0].shape[0]
        held = largest_divisor(count, block)

        def together(own: Any) -> Array:
            said: Array = lax.map(lambda rows: jax.vmap(species.encode, (0, None))(own, rows).said, chunks)
            return jnp.moveaxis(said, 1, 0)

        answers = lax.map(together, jax.tree.map(lambda x: x.reshape(count // held, held, *x.shape[1:]), forests))
        spoken: Array = answers.reshape(count, *answers.shape[2:])
        return spoken

    spread = PartitionSpec("forests")
    mapped: Callable[[Any, Array], Array] = jax.shard_map(
        local, mesh=mesh, in_specs=(spread, PartitionSpec()), out_specs=spread, check_vma=False
    )
    return mapped


def measure_xgboost(size: RowSize, repeat: int, threads: int) -> Rows:
    """XGBoost's `inplace_predict`, margins, at the batch and of the kind of model that suit it best."""
    xgboost = importlib.import_module("xgboost")
    rows, number, label, numbers = _task()
    common = {"max_depth": _DEPTH, "min_child_weight": 0, "reg_lambda": 1e-3, "tree_method": "hist", "nthread": threads}
    kinds: dict[str, tuple[dict[str, Any], NDArray[Any]]] = {
        "1 output": ({"objective": "reg:squarederror"}, number),
        "3 outputs": ({"objective": "multi:softprob", "num_class": _OUTPUTS}, label),
        "vector leaves": ({"objective": "reg:squarederror", "multi_strategy": "multi_output_tree"}, numbers),
    }
    models = {
        kind: xgboost.train({**common, **own}, xgboost.DMatrix(rows, wanted), _TREES)
        for kind, (own, wanted) in kinds.items()
    }
    answers = {kind: functools.partial(model.inplace_predict, predict_type="margin") for kind, model in models.items()}
    return _fastest(answers, size, repeat)


def measure_lightgbm(size: RowSize, repeat: int, threads: int) -> Rows:
    """LightGBM's `predict`, raw scores, at the batch and of the kind of model that suit it best."""
    lightgbm = importlib.import_module("lightgbm")
    rows, number, label, _ = _task()
    common = {
        "num_leaves": 2**_DEPTH,
        "max_depth": _DEPTH,
        "min_data_in_leaf": 1,
        "min_sum_hessian_in_leaf": 0.0,
        "num_threads": threads,
        "verbose": -1,
    }
    kinds: dict[str, tuple[dict[str, Any], NDArray[Any]]] = {
        "1 output": ({"objective": "regression"}, number),
        "3 outputs": ({"objective": "multiclass", "num_class": _OUTPUTS}, label),
    }
    models = {
        kind: lightgbm.train({**common, **own}, lightgbm.Dataset(rows, wanted, free_raw_data=False), _TREES)
        for kind, (own, wanted) in kinds.items()
    }
    answers = {
        kind: functools.partial(model.predict, raw_score=True, num_threads=threads) for kind, model in models.items()
    }
    return _fastest(answers, size, repeat)


def _fastest(models: Mapping[str, Callable[[NDArray[np.float32]], Any]], size: RowSize, repeat: int) -> Rows:
    """The fastest kind of model, measured at the batch that suits it best; which one that is shows in a few tries."""
    most = max(size.batches)
    rows = _made_up(most)

    def through(answer: Callable[[NDArray[np.float32]], Any], batch: int) -> Callable[[], None]:
        parts = [rows[first : first + batch] for first in range(0, most - batch + 1, batch)]

        def once() -> None:
            for part in parts:
                answer(part)

        return once

    best: dict[str, tuple[float, int]] = {}
    for kind, answer in models.items():
        for batch in size.batches:
            seconds, _ = timed(through(answer, batch), _TRIES)
            best[kind] = max(best.get(kind, (0.0, 0)), ((most // batch) * batch / min(seconds), batch))
    kind = max(best, key=lambda kind: best[kind])
    batch = best[kind][1]
    seconds, busy = timed(through(models[kind], batch), repeat)
    return Rows(
        1,
        batch,
        Measurement((most // batch) * batch, seconds, busy),
        outputs=1 if kind == "1 output" else _OUTPUTS,
        tried={kind: rate for kind, (rate, _) in best.items()},
    )


def _made_up(rows: int) -> NDArray[np.float32]:
    return np.random.default_rng(_SEED).standard_normal((rows, _FEATURES), np.float32)


def _task() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """Rows, and what nobody could learn of them, so that trees are full: one number, a class, or three numbers."""
    random = np.random.default_rng(_SEED + 1)
    rows = random.standard_normal((_KNOWN, _FEATURES), np.float32)
    numbers = random.standard_normal((_KNOWN, _OUTPUTS), np.float32)
    return rows, numbers[:, 0].copy(), random.integers(0, _OUTPUTS, _KNOWN), numbers
