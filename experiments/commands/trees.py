"""`arena trees SOURCE`: look at a forest, a run's champion or a saved model, and hand it on to other programs."""

import argparse
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from markets.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from experiments.exchange.ensemble import Ensemble
    from experiments.forests.champions import ForestChampion

__all__ = ["add_arguments", "run"]

_WIDTH, _TREES, _LINES, _TOP = 80, 3, 40, 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena trees`."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a run's folder, its id below the folder of runs, or a model that XGBoost, LightGBM or CatBoost saved",
    )
    parser.add_argument(
        "--champion",
        metavar="WHO",
        help="of a run: bull_trending, bear_trending, volatile_ranging, calm_ranging, all, or an id (default: all)",
    )
    parser.add_argument("--replicate", type=int, metavar="N", help="of a run with several: which, from 1 (default: 1)")
    parser.add_argument("--trees", type=int, metavar="N", help=f"trees shown, whole (default: {_TREES}, long ones cut)")
    parser.add_argument("--format", choices=("onnx", "xgboost"), help="write it as this instead of showing it")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the file to write")
    parser.add_argument("--runs-dir", default="runs", metavar="DIR", help="the folder of runs (default: runs)")


def run(args: argparse.Namespace) -> int:
    """Show or write the forest, and return the exit code."""
    if (args.out is None) != (args.format is None):
        given, wanted = ("--format", "--out FILE") if args.out is None else ("--out", "--format onnx or xgboost")
        raise UserError(f"{given}: needs {wanted} too")
    if args.trees is not None and args.trees < 0:
        raise UserError(f"--trees: {args.trees}; right is 0 or more")
    path = Path(args.source)
    if path.exists() and not path.is_dir():
        return _model(args, path)
    return _champion(args)


def _model(args: argparse.Namespace, path: Path) -> int:
    """A model's file, shown or written as another."""
    from experiments.exchange.reading import read_model
    from experiments.forests.export import check_model, write_ensemble

    for option in ("champion", "replicate"):
        if getattr(args, option) is not None:
            raise UserError(f"--{option}: {path} is a model's file and no run; leave it out")
    if args.out is not None:
        check_model(args.out, path)
    ensemble = read_model(path)
    if args.out is None:
        _show_model(path, ensemble, args.trees)
        return 0
    write_ensemble(ensemble, args.format, args.out, whose=str(path))
    _tell_written(args, ensemble, "columns, in this order, as the model knows them:")
    return 0


def _champion(args: argparse.Namespace) -> int:
    """A champion of a run, shown or written as a model."""
    from experiments.runs.directory import find_run

    try:
        directory = find_run(args.source, args.runs_dir)
    except UserError as error:
        raise UserError(f"{args.source}: no such file and no such run; {str(error).rpartition('; ')[2]}") from None
    from experiments.champions.champions import find_champion
    from experiments.forests.champions import read_forest
    from experiments.forests.export import check_model, write_ensemble

    if args.out is not None:
        check_model(args.out)
    found = read_forest(directory, find_champion(directory, args.champion or "all", args.replicate))
    if args.out is None:
        _show_champion(directory.root.name, found, args.trees)
        return 0
    scaling = found.settings.scaling
    write_ensemble(found.ensemble, args.format, args.out, whose=str(found.champion.path))
    _tell_written(
        args,
        found.ensemble,
        f"columns, in this order; the market's as this run scales them ({scaling.method}, ±{scaling.clip:g}),",
        "then four numbers of the account:",
    )
    return 0


def _tell_written(args: argparse.Namespace, ensemble: "Ensemble", *columns: str) -> None:
    """What was written, and what it wants and gives."""
    from experiments.terminal import say

    say(f"{args.out}: {args.format}, {_count(len(ensemble.trees), 'tree')}, {len(ensemble.features)} columns")
    for line in columns:
        say(line)
    names = ", ".join(ensemble.features)
    for line in textwrap.wrap(names, _WIDTH - 2, break_long_words=False, break_on_hyphens=False):
        say(f"  {line}")
    say(f"scores: {_scores(ensemble)}")


def _show_model(path: Path, ensemble: "Ensemble", trees: int | None) -> None:
    from experiments.terminal import outline

    outline(
        f"model {path}",
        {
            "library": [ensemble.library],
            "trees": [_trees(ensemble)],
            "columns": [_fit(f"{len(ensemble.features)}: {', '.join(ensemble.features)}")],
            "scores": [_fit(_scores(ensemble))],
            "base": [_fit(_numbers(ensemble.base) + (f", scale {ensemble.scale:g}" if ensemble.scale != 1.0 else ""))],
        },
    )
    _show_trees(ensemble, trees, [""] * len(ensemble.trees))


def _show_champion(run_id: str, found: "ForestChampion", trees: int | None) -> None:
    from experiments.terminal import outline

    champion, settings, genes = found.champion, found.species.settings, found.trader.genes
    holds = [f"{regime}, {1e4 * score:+.3f} bp/bar on validation" for regime, score in champion.scores.items()]
    stops = f", stop {float(genes.stop):.3g} ATR, take-profit {float(genes.take_profit):.3g} ATR"
    own = [", market"] * settings.market_trees + [", account"] * settings.state_trees
    outline(
        f"agent {champion.id} of run {run_id}",
        {
            "best of": holds or ["nothing any more"],
            "as in": [f"generation {champion.generation}, when it improved the archive"],
            "trees": [
                _trees(found.ensemble),
                f"{settings.market_trees} of the market alone, {settings.state_trees} that may ask for the account",
            ],
            "scores": [_scores(found.ensemble)],
            "base": [_numbers(found.ensemble.base)],
            "genes": [f"size {float(genes.size):.3g}{stops if found.settings.evolution.stops else ''}"],
        },
    )
    _show_trees(found.ensemble, trees, own, "; thresholds are in scaled units")


def _show_trees(ensemble: "Ensemble", trees: int | None, kinds: Sequence[str], units: str = "") -> None:
    """What the trees ask for, and the first of them."""
    from rich.table import Table

    from experiments.exchange.canonical import canonical
    from experiments.forests.questions import asked_most, tree_lines
    from experiments.terminal import console, say

    asked = asked_most(ensemble)
    say()
    say("asked for most: questions, and their share in the spread of the leaves")
    table = Table(box=None, pad_edge=False)
    table.add_column("feature", no_wrap=True)
    for name in ("questions", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    for feature, questions, share in asked[:_TOP]:
        table.add_row(ensemble.features[feature], f"{questions:,}", "–" if share != share else f"{100 * share:.1f} %")
    console.print(table)
    if asked[_TOP:]:
        say(f"and {_count(len(asked) - _TOP, 'feature')} more")
    say()
    try:
        plain = canonical(ensemble)
    except UserError as error:
        say(f"trees are not shown: {error}")
        return
    several = any(tree.value.any(axis=0).sum() > 1 for tree in plain.trees)
    names = f": leaves add to {', '.join(_named(plain))}" if several else ""
    say(_fit(f"trees{names}{units}", _WIDTH))
    count = _TREES if trees is None else trees
    for index, (tree, kind) in enumerate(zip(plain.trees[:count], kinds[:count], strict=True)):
        used = tree.value.any(axis=0)
        said = f", adds to {_named(plain)[int(used.argmax())]}" if used.sum() == 1 < plain.outputs else ""
        say(f"tree {index}{kind}{said if used.any() else ': says nothing'}")
        lines = tree_lines(tree, plain.features) if used.any() else []
        shown = lines if trees is not None else lines[:_LINES]
        for line in shown:
            say(line)
        if len(lines) > len(shown):
            say(f"  … {_count(len(lines) - len(shown), 'line')} more; --trees shows them")
    if len(plain.trees) > count:
        say(f"and {_count(len(plain.trees) - count, 'tree')} more; --trees {len(plain.trees)} shows all")


def _trees(ensemble: "Ensemble") -> str:
    from experiments.exchange.ensemble import deepest
    from experiments.forests.questions import is_oblivious

    layout = "oblivious" if all(map(is_oblivious, ensemble.trees)) else "ordinary"
    return f"{len(ensemble.trees):,}, {layout}, of depth {deepest(ensemble.trees)}"


def _scores(ensemble: "Ensemble") -> str:
    """How many there are, what is made of them and what they are called."""
    names = f" of {', '.join(ensemble.classes)}" if ensemble.classes else ""
    if ensemble.library == "arena":
        return f"values{names}; the largest is the action"
    return f"{ensemble.outputs}, {ensemble.link}{names}"


def _named(ensemble: "Ensemble") -> Sequence[str]:
    """What each score is called."""
    if len(ensemble.classes) == ensemble.outputs:
        return ensemble.classes
    return [f"score {index}" for index in range(ensemble.outputs)]


def _numbers(values: "NDArray[np.float64]") -> str:
    return "  ".join(f"{float(value) + 0.0:+.3g}" for value in values)


def _fit(text: str, width: int = _WIDTH - 10) -> str:
    """A line that stays within the terminal, beside a label of the outline."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
