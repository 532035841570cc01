"""The two pictures of the page, as SVG that reads on light and on dark ground: no background, grey text, plain marks.

Matplotlib is an optional extra (`plots`); without it the page has tables alone. Equal results make equal files.
"""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from experiments.runs.files import write_whole
from experiments.scars.plan import ARMS, WORLDS, Arm
from experiments.scars.results import Findings
from experiments.scars.statistics import AGAINST, EQUIVALENT, interquartile_mean
from experiments.scars.words import NAMES

__all__ = ["CURVES", "DIFFERENCES", "available", "draw"]

DIFFERENCES, CURVES = "scars-differences.svg", "scars-ruin.svg"

_INK, _RULE = "#7d8590", "#8b949e55"
_COLOURS = {"P": "#d97706", "N": "#6b8aa8"}
_LINES = {"none": "#7d8590", "scars": "#d97706", "sham": "#6b8aa8", "permuted": "#5a9e6f"}
_STYLE: Any = {
    "svg.hashsalt": "scars",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.edgecolor": _RULE,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
}


def available() -> bool:
    """Whether there is anything to draw with."""
    return importlib.util.find_spec("matplotlib") is not None


def draw(findings: Findings, folder: Path) -> None:
    """Write both pictures into a folder that is there."""
    import matplotlib as mpl

    mpl.use("svg")
    with mpl.rc_context(_STYLE):
        _save(_differences(findings), folder / DIFFERENCES)
        _save(_curves(findings), folder / CURVES)


def _save(figure: Any, path: Path) -> None:
    import matplotlib.pyplot as plt

    def write(temporary: Path) -> None:
        figure.savefig(temporary, format="svg", transparent=True, metadata={"Date": None, "Creator": None})

    write_whole(path, write)
    plt.close(figure)


def _differences(findings: Findings) -> Any:
    """Scars against each control, and every arm against nothing done: difference in R with its 95 % interval."""
    import matplotlib.pyplot as plt

    rows = [(f"scars less {NAMES[ARMS[arm]]}", "scars", ARMS[arm]) for arm in AGAINST]
    rows += [(f"{NAMES[arm]} less {NAMES['none']}", arm, "none") for arm in ARMS if arm not in ("none", "scars")]
    figure, axes = plt.subplots(figsize=(7.6, 4.6), layout="constrained")
    axes.axvspan(-100 * EQUIVALENT, 100 * EQUIVALENT, color="#8b949e", alpha=0.13, lw=0)
    axes.axvline(0, color=_INK, lw=0.8)
    for index, (_, arm, other) in enumerate(rows):
        for shift, world in zip((-0.14, 0.14), WORLDS, strict=True):
            value, low, high = findings.compared[world, arm].over[other]
            at = index + shift
            axes.plot([100 * low, 100 * high], [at, at], color=_COLOURS[world], lw=2, solid_capstyle="round")
            label = f"world {world}" if index == 0 else None
            axes.plot([100 * value], [at], "o", ms=5.5, color=_COLOURS[world], label=label)
    axes.axhline(len(AGAINST) - 0.5, color=_RULE, lw=0.8)
    axes.set_yticks(range(len(rows)), [label for label, _, _ in rows])
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("difference in R, percentage points; left is better")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.1), ncols=2)
    return figure


def _curves(findings: Findings) -> Any:
    """Share ruined by how often the kind of crash has been there, in both worlds."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(7.6, 3.2), sharey=True, layout="constrained")
    for world, axes in zip(WORLDS, panels, strict=True):
        for name, colour in _LINES.items():
            shares = _by_presentation(findings.generations.filter(world=world, arm=name))
            style = {"lw": 2.4, "zorder": 3} if name == ARMS[Arm.SCARS] else {"lw": 1.4}
            axes.plot(list(shares), [100 * share for share in shares.values()], "o-", ms=4, color=colour, **style)
            axes.lines[-1].set_label(NAMES[name])
        axes.set_title(f"world {world}", fontsize=10, color=_INK, loc="left")
        axes.set_xlabel("time the kind of crash is there")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_ylim(0, 100)
        axes.grid(axis="y", color=_RULE, lw=0.6)
        axes.tick_params(length=0)
    panels[0].set_ylabel("accounts ruined, %")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(_LINES))
    return figure


def _by_presentation(generations: pl.DataFrame) -> dict[int, float]:
    """Interquartile mean over seeds of the share ruined, by presentation that every seed had."""
    table = (
        generations.filter(pl.col("presentation") > 0)
        .group_by("presentation", "seed")
        .agg(share=pl.col("ruined").sum() / pl.col("faced").sum())
    )
    seeds = generations["seed"].n_unique()
    made = {}
    for presentation, own in sorted(table.partition_by("presentation", as_dict=True).items()):
        if own.height == seeds:
            made[int(str(presentation[0]))] = float(interquartile_mean(np.asarray(own["share"], np.float64)))
    return made
