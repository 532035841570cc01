"""LightGBM's text models, as `Booster.save_model` and `LGBMModel.booster_.save_model` write them.

A header, one block of `key=value` lines for each tree, `end of trees`, then parameters that trees do not need. The
header's version is not looked at: texts of LightGBM 2.3.1, 3.3.5 and 4.7 were compared with the library by hand. The
numbers of a text are the model's own to the bit (17 digits).

How the library decides, beside `x <= threshold` in float64:

- A dense row's values with |x| ≤ 1e-35 reach the trees as 0, so a threshold within that band stands for an end of it.
- Two bits of `decision_type` say what counts as missing: nothing (NaN is taken for 0), zeros and NaN, or NaN alone;
  another says where it goes.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from experiments.exchange.ensemble import LEAF, ZERO, Ensemble, Tree
from experiments.exchange.reading import read_content
from markets.errors import UserError

__all__ = ["read_lightgbm"]

_RIGHT = "right is a text that LightGBM's Booster.save_model wrote"
_AGAIN = "the file is damaged; save the model again"

_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_MISSING_SHIFT, _MISSING_NONE, _MISSING_ZERO, _MISSING_NAN = 2, 0, 1, 2
"""`decision_type`: bit 0, bit 1, and what counts as missing in the bits from 2 on."""

_ZERO = float(np.float32(ZERO))

_IDENTITY = frozenset(
    "regression regression_l1 huber fair quantile mape lambdarank rank_xendcg custom none".split()  # noqa: SIM905
)
_LOGISTIC = frozenset({"binary", "cross_entropy"})
_EXPONENTIAL = frozenset({"poisson", "gamma", "tweedie"})

_TREES_END = re.compile(r"^(end of trees|feature[_ ]importances:)$", re.MULTILINE)
_TREE = re.compile(r"^Tree=", re.MULTILINE)
_WHOLE = re.compile(r"-?[0-9]{1,10}")
_NUMBER = re.compile(r"[-+0-9.eE]+")
_ENDLESS = frozenset({"inf", "-inf"})

_Link = Literal["identity", "logistic", "softmax", "exponential"]

_MOST_VALUES = 1 << 27
"""Values of nodes that are kept, in all: a GiB."""


def read_lightgbm(path: Path) -> Ensemble:
    """The ensemble that a LightGBM text means.

    Its raw scores equal `Booster.predict(raw_score=True)` to the bit, leaves `predict(pred_leaf=True)`. Two kinds of
    model fold a factor into `scale`, so that `link` gives the library's probabilities: a random forest, whose raw score
    the library averages before it uses it (1 / iterations), and a binary model with `sigmoid` other than 1.

    Raises:
        UserError: no such file, not a LightGBM text, damaged, or a model with categorical splits, linear leaves or an
            objective whose scores no link of an `Ensemble` describes.
    """
    try:
        text = read_content(path).decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise UserError(f"{path}: is no UTF-8 text; {_RIGHT}") from None
    if text.partition("\n")[0].strip() != "tree":
        raise UserError(f"{path}: is no LightGBM model; {_RIGHT}")
    head, blocks = _blocks(path, text)
    features = tuple(_get(f"{path}", head, "feature_names").split(" "))
    last = _whole(f"{path}", head, "max_feature_idx")
    if last != len(features) - 1:
        raise UserError(f"{path}: feature_names has {len(features)} names where max_feature_idx={last}; {_AGAIN}")
    outputs = _outputs(path, head, len(blocks))
    link, factor = _link(path, head, outputs)
    if "average_output" in head and blocks:
        factor /= len(blocks) // outputs
    trees, room = [], _MOST_VALUES
    for index, block in enumerate(blocks):
        where, pairs = f"{path}: tree {index}", _pairs(block)
        room -= (2 * _whole(where, pairs, "num_leaves") - 1) * outputs
        if room < 0:
            raise UserError(f"{where}: more leaves up to here than {_MOST_VALUES // outputs:,}; right is fewer trees")
        trees.append(_tree(where, pairs, len(features), outputs, index % outputs))
    count = 2 if link == "logistic" else outputs if outputs > 1 else 0
    return Ensemble(
        library="lightgbm",
        features=features,
        trees=tuple(trees),
        base=np.zeros(outputs),
        scale=factor,
        strict=False,
        inputs="float64",
        sums="float64",
        link=link,
        classes=tuple(str(label) for label in range(count)),
    )


def _blocks(path: Path, text: str) -> tuple[Mapping[str, str], Sequence[str]]:
    """The header, and the text of each tree; their lengths must be those that the header tells."""
    end = _TREES_END.search(text)
    if end is None:
        raise UserError(f"{path}: the line 'end of trees' is missing, so the file was cut off; save the model again")
    starts = [match.start() for match in _TREE.finditer(text, 0, end.start())]
    stops = [*starts[1:], end.start()]
    head = _pairs(text[: starts[0] if starts else end.start()])
    blocks = [text[start:stop] for start, stop in zip(starts, stops, strict=False)]
    for index, block in enumerate(blocks):
        if block.partition("\n")[0] != f"Tree={index}":
            line = block.partition("\n")[0][:40]
            raise UserError(f"{path}: tree {index}: begins with {line!r}, not with Tree={index}; {_AGAIN}")
    if "tree_sizes" in head:  # people delete it to edit a model by hand; the library reads such files too
        sizes = _wholes(f"{path}", head, "tree_sizes", None)
        if len(sizes) != len(blocks):
            raise UserError(f"{path}: holds {len(blocks)} trees where tree_sizes tells of {len(sizes)}; {_AGAIN}")
        for index, (block, size) in enumerate(zip(blocks, sizes, strict=True)):
            if not len(block.rstrip("\n")) <= size <= len(block):
                raise UserError(
                    f"{path}: tree {index}: has {len(block)} characters where tree_sizes tells of {size}; {_AGAIN}"
                )
    return head, blocks


def _pairs(block: str) -> Mapping[str, str]:
    """Keys and values of lines `key=value`; a line without `=` is a key without value."""
    parts = (line.partition("=") for line in block.split("\n") if line)
    return {key: value for key, _, value in parts}


def _outputs(path: Path, head: Mapping[str, str], trees: int) -> int:
    """Scores of a row: a tree for each in every iteration."""
    classes = _whole(f"{path}", head, "num_class")
    outputs = _whole(f"{path}", head, "num_tree_per_iteration") if "num_tree_per_iteration" in head else classes
    if outputs != classes or not 1 <= outputs <= max(trees, 1) or trees % outputs:
        raise UserError(
            f"{path}: num_class={classes} and num_tree_per_iteration={outputs} do not fit {trees} trees; {_AGAIN}"
        )
    return outputs


def _link(path: Path, head: Mapping[str, str], outputs: int) -> tuple[_Link, float]:
    """What the library makes of raw scores, and the factor in front of them."""
    name, *options = head.get("objective", "custom").split(" ")
    tail = dict(option.partition(":")[::2] for option in options)
    where = f"{path}: objective"
    if name == "multiclass" and outputs > 1:
        if _whole(where, tail, "num_class") != outputs:
            raise UserError(f"{where}: has num_class:{tail['num_class']} where a row has {outputs} scores; {_AGAIN}")
        return "softmax", 1.0
    if name in _LOGISTIC and outputs == 1:
        factor = float(_numbers(where, tail, "sigmoid", 1)[0]) if "sigmoid" in tail else 1.0
        if factor <= 0:
            raise UserError(f"{where}: sigmoid:{tail['sigmoid']} is not above 0; {_AGAIN}")
        return "logistic", factor
    if name in _IDENTITY and "sqrt" not in tail and (outputs == 1 or name in {"custom", "none"}):
        return "identity", 1.0
    if name in _EXPONENTIAL and outputs == 1:
        return "exponential", 1.0
    raise UserError(
        f"{path}: objective={head['objective']} makes of {outputs} raw scores what is not supported; "
        "right is binary, cross_entropy, multiclass (softmax) or a regression or ranking that predicts its raw scores"
    )


def _tree(where: str, block: Mapping[str, str], features: int, outputs: int, output: int) -> Tree:
    """One tree: its splits keep their indices, its leaves follow in order."""
    leaves = _whole(where, block, "num_leaves")
    if leaves < 1:
        raise UserError(f"{where}: num_leaves={leaves}; {_AGAIN}")
    if block.get("is_linear", "0").strip() != "0":
        raise UserError(f"{where}: has linear leaves, which are not supported; train it with linear_tree=false")
    found = _numbers(where, block, "leaf_value", leaves)
    splits = leaves - 1
    if splits:
        kind = _wholes(where, block, "decision_type", splits)
        feature = _wholes(where, block, "split_feature", splits)
        bounds = _numbers(where, block, "threshold", splits, endless=True)
        left, right = (_wholes(where, block, side, splits) for side in ("left_child", "right_child"))
    else:
        kind = feature = left = right = np.zeros(0, np.int64)
        bounds = np.zeros(0)
    if bad := np.flatnonzero((feature < 0) | (feature >= features)).tolist():
        raise UserError(f"{where}: split_feature {feature[bad[0]]} is none of the {features} features; {_AGAIN}")
    if bad := np.flatnonzero((kind & _CATEGORICAL) > 0).tolist():
        raise UserError(
            f"{where}: splits feature {feature[bad[0]]} by category, which is not supported; train it on numbers alone"
        )
    missing = kind >> _MISSING_SHIFT
    if bad := np.flatnonzero((kind < 0) | (missing > _MISSING_NAN)).tolist():
        raise UserError(f"{where}: decision_type {kind[bad[0]]} means nothing; {_AGAIN}")
    # A leaf i is written as −1 − i.
    down = np.stack([left, right])
    if bad := np.flatnonzero((down < -leaves) | (down >= splits)).tolist():
        raise UserError(
            f"{where}: child {down.flat[bad[0]]} is none of its {splits} splits and {leaves} leaves; {_AGAIN}"
        )
    children = np.where(down < 0, splits - 1 - down, down).astype(np.int32)

    threshold = _snapped(bounds)
    default = np.where(missing == _MISSING_NONE, threshold >= 0, (kind & _DEFAULT_LEFT) > 0)
    blank = np.full(leaves, LEAF, np.int32)
    value = np.zeros((splits + leaves, outputs))
    value[splits:, output] = found
    tree = Tree(
        feature=np.concatenate([feature.astype(np.int32), blank]),
        threshold=np.concatenate([threshold, np.zeros(leaves)]),
        left=np.concatenate([children[0], blank]),
        right=np.concatenate([children[1], blank]),
        missing_left=np.concatenate([default, np.zeros(leaves, np.bool_)]),
        zero_missing=np.concatenate([missing == _MISSING_ZERO, np.zeros(leaves, np.bool_)]),
        value=value,
        number=np.concatenate([np.full(splits, LEAF, np.int32), np.arange(leaves, dtype=np.int32)]),
    )
    try:
        tree.check(features=features, outputs=outputs)
    except ValueError as error:
        raise UserError(f"{where}: {error}; {_AGAIN}") from None
    return tree


def _snapped(threshold: NDArray[np.float64]) -> NDArray[np.float64]:
    """Thresholds that decide on a value itself as the library's do on it with |x| ≤ 1e-35 taken for 0."""
    below = np.nextafter(-_ZERO, -np.inf)
    snapped = np.where((threshold >= -_ZERO) & (threshold < 0), below, threshold)
    return np.where((snapped >= 0) & (snapped < _ZERO), _ZERO, snapped)


def _get(where: str, block: Mapping[str, str], key: str) -> str:
    if key not in block:
        raise UserError(f"{where}: {key} is missing; {_AGAIN}")
    return block[key]


def _whole(where: str, block: Mapping[str, str], key: str) -> int:
    return int(_wholes(where, block, key, 1)[0])


def _wholes(where: str, block: Mapping[str, str], key: str, count: int | None) -> NDArray[np.int64]:
    """A list of whole numbers, `count` of them unless None."""
    parts = _parts(where, block, key, count)
    for part in parts:
        if not _WHOLE.fullmatch(part):
            raise UserError(f"{where}: {key}: {part[:40]!r} is no whole number; {_AGAIN}")
    return np.array([int(part) for part in parts], np.int64)


def _numbers(
    where: str, block: Mapping[str, str], key: str, count: int, *, endless: bool = False
) -> NDArray[np.float64]:
    """A list of `count` numbers, finite unless `endless` allows `inf`: that threshold parts NaN from all numbers."""
    parts = _parts(where, block, key, count)
    for part in parts:
        try:
            if (_NUMBER.fullmatch(part) and np.isfinite(float(part))) or (endless and part in _ENDLESS):
                continue
        except ValueError:
            pass
        raise UserError(f"{where}: {key}: {part[:40]!r} is no {'' if endless else 'finite '}number; {_AGAIN}")
    return np.array([float(part) for part in parts])


def _parts(where: str, block: Mapping[str, str], key: str, count: int | None) -> list[str]:
    parts = _get(where, block, key).split()
    if count is not None and len(parts) != count:
        raise UserError(f"{where}: {key} has {len(parts)} values where {count} belong; {_AGAIN}")
    return parts
