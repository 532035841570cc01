"""What `arena lineage` says of a lineage: gathered as plain values, which are its JSON, and shown as tables."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import polars as pl
from rich.table import Table

from arena.schemas import REGIME_NAMES, TABLES
from experiments.lineage.filters import with_ancestors
from experiments.lineage.lines import champion_lines
from experiments.lineage.metrics import metrics
from experiments.lineage.origins import origin_of
from experiments.lineage.sweeps import coalescence, neutral_lag, sweeps
from experiments.lineage.tree import Tree, alive, root, take
from experiments.runs.champions import best_scores, replicates
from experiments.runs.directory import RunDirectory
from experiments.runs.origins import read_origins
from experiments.terminal import console, say
from markets.errors import UserError

__all__ = ["gather", "show"]

_Read = TypeVar("_Read")

_TABLES = 4  # replicates shown; the others are in the JSON
_LINES = 10  # champions shown
_SWEEPS = 5  # sweeps shown
_LABEL = 35
_SHORT = dict(zip(REGIME_NAMES, ("bull", "bear", "vol", "calm", "all"), strict=True))
_COUNTS = ("time", "extinct", "out_degree_distribution")
"""Of the metrics, what has no row of its own."""


def gather(
    tree: Tree, table: pl.DataFrame, run: RunDirectory | None, tell: Callable[[str], object], *, whole: bool = True
) -> dict[str, Any]:
    """All there is to say; births and deaths are enough, whatever else of the run is lost.

    Args:
        tree: of the table.
        table: of `LINEAGE`, in the tree's order of rows.
        run: whose lineage it is, or a part of; None for a file.
        tell: is given a sentence on whatever of the run cannot be read.
        whole: whether all who compete are there; where some were left out, nothing is said of who took over.

    Returns:
        `agents, alive, founders, generations, species`; `origins`: the champions of earlier runs that founded it, each
        with `run_id, id, species`, `depth` (births from its own founder), `runs` it goes back through, and how many
        `founders` descend from it; `replicates`: for each its number (None of a file), `metrics`
        without extinct lines and with them, and `coalescence` for each species; and `champions`: their lines, the
        deepest first; in a run that has origins, `origin` is the `run_id/id` that its founder descends from, or None.

    What is counted is of this run alone: agents of earlier runs are neither agents nor founders here.
    """
    last = int(max(tree.born.max(), tree.died.max()))
    known = (1, 1) if run is None else _or_told(lambda: replicates(run), tell, "shown as one replicate") or (1, 1)
    return {
        "agents": len(tree),
        "alive": int(alive(tree).sum()),
        "founders": int(tree.is_root.sum()),
        "generations": [int(tree.born.min()), last],
        "species": table["species"].drop_nulls().unique().sort().to_list() if run is not None else [],
        "origins": _origins(table, run, tell),
        "replicates": [
            {
                "replicate": number,
                "metrics": [dataclasses.asdict(metrics(part, extinct=extinct, time=last)) for extinct in (False, True)],
                "coalescence": [_coalescence(own, name, last) for name, own in _rivals(part, species, run)]
                if whole
                else [],
            }
            for number, part, species in _parts(tree, table, run, known)
        ],
        "champions": [] if run is None else _champions(tree, table, run, tell),
    }


def _origins(table: pl.DataFrame, run: RunDirectory | None, tell: Callable[[str], object]) -> list[dict[str, Any]]:
    """The champions of earlier runs from whom founders among these descend."""
    origins = None if run is None else _or_told(lambda: read_origins(run), tell, "shown without earlier runs")
    if origins is None or origins.is_empty():
        return []
    told = origin_of(origins).join(table.select("id"), on="id", how="semi")
    found = []
    for (bundle,), founders in told.group_by("bundle", maintain_order=True):
        line = origins.filter(pl.col("bundle") == bundle)
        champion = line.row(-1, named=True)
        about = {name: champion[name] for name in ("run_id", "id", "species")}
        found.append(
            {**about, "depth": line.height - 1, "runs": line["run_id"].n_unique(), "founders": founders.height}
        )
    return found


def _or_told(read: Callable[[], _Read], tell: Callable[[str], object], loss: str) -> _Read | None:
    """What is read; where it cannot be, None and a sentence why, with what that means."""
    try:
        return read()
    except UserError as error:
        tell(f"{loss}: {error}")
        return None


def _parts(
    tree: Tree, table: pl.DataFrame, run: RunDirectory | None, known: tuple[int, int]
) -> Iterable[tuple[int | None, Tree, pl.Series]]:
    """Tree and species of each replicate; what descends from founders that never meet says nothing together."""
    count, islands = known
    if count == 1:
        yield None if run is None else 1, tree, table["species"]
        return
    whose = table["island"].to_numpy() // islands
    for replicate in range(count):
        mask = whose == replicate
        if mask.any():
            mask = with_ancestors(tree, mask)
            yield replicate + 1, take(tree, mask), table["species"].filter(mask)


def _rivals(tree: Tree, species: pl.Series, run: RunDirectory | None) -> Iterable[tuple[str | None, Tree]]:
    """The tree of each species of a run, which take no place from each other; that of a file as it is."""
    names = [] if run is None else species.unique().sort().to_list()
    if len(names) < 2:
        yield (names[0] if names else None), tree
        return
    for name in names:
        yield name, take(tree, with_ancestors(tree, (species == name).to_numpy()))


def _coalescence(tree: Tree, species: str | None, last: int) -> dict[str, Any]:
    """The common ancestor of the living, and who ever took over."""
    now, chance = coalescence(tree).row(-1, named=True), neutral_lag(tree)
    return {
        "species": species,
        "living": now["living"],
        "founders": len(np.unique(root(tree)[alive(tree)])),
        "ancestor_id": now["ancestor_id"],
        "born": now["born"],
        "lag": None if now["born"] is None else last - now["born"],
        "neutral_lag": None if np.isnan(chance) else chance,
        "sweeps": sweeps(tree).to_dicts(),
    }


def _champions(
    tree: Tree, table: pl.DataFrame, run: RunDirectory, tell: Callable[[str], object]
) -> list[dict[str, Any]]:
    """The lines of the champions of now, with the replicate of each; `scars` None where those cannot be read."""
    scores = _or_told(lambda: best_scores(run), tell, "shown without champions")
    if scores is None:
        return []
    scars = _or_told(lambda: run.read("scars"), tell, "shown without scars") if scores else None
    unknown = {} if scars is not None else {"scars": None}
    scars = pl.DataFrame(schema=TABLES["scars"]) if scars is None else scars
    holds: dict[int, list[str]] = {}
    whose: dict[int, int] = {}
    for (regime, replicate), (_, own) in scores.items():
        holds.setdefault(own, []).append(regime)
        whose[own] = replicate + 1
    lines = champion_lines(tree, table, holds, run.read("archive"), scars, names=REGIME_NAMES)
    from_whom = _founding_champions(table)
    return [
        {
            "replicate": whose[line.id],
            **dataclasses.asdict(line),
            **({"origin": from_whom.get(line.founder)} if from_whom else {}),
            **unknown,
        }
        for line in lines
    ]


def _founding_champions(table: pl.DataFrame) -> dict[int, str]:
    """Of founders that descend from a champion of an earlier run, who that is."""
    if "origin_id" not in table.columns:
        return {}
    told = table.drop_nulls("origin_id").select("id", "origin_run_id", "origin_id")
    return {own: f"{run}/{agent}" for own, run, agent in told.iter_rows()}


def show(said: Mapping[str, Any], title: str, notes: Sequence[str] = ()) -> None:
    """Print it.

    Args:
        said: of `gather`.
        title: of the first line.
        notes: lines below it.
    """
    first, last = said["generations"]
    for line in (title, *notes):
        say(line)
    say(
        f"{_count(said['agents'], 'agent')} of {_count(said['founders'], 'founder')} in generations {first} to {last}, "
        f"{said['alive']:,} of them alive"
    )
    for one in said["origins"]:
        back = f" through {one['runs']} runs" if one["runs"] > 1 else ""
        say(
            f"{_count(one['founders'], 'founder')} from {one['species']} {one['id']} of run {one['run_id']}, "
            f"which lies {_count(one['depth'], 'birth')} from its own first ancestor{back}"
        )
    parts = said["replicates"]
    if len(said["species"]) > 1:
        say(f"species never meet; --species {said['species'][0]} looks at one alone")
    for part in parts[:_TABLES]:
        say()
        whose = f"replicate {part['replicate']}: " if len(parts) > 1 else ""
        say(f"{whose}metrics, with extinct lines left out and with them in")
        console.print(_metrics(part["metrics"]))
        for line in (*_degrees(part["metrics"]), *_takeovers(part["coalescence"])):
            say(line)
    if parts[_TABLES:]:
        say(f"and {len(parts) - _TABLES} replicates more; --replicate shows one, --json all")
    if said["champions"]:
        say()
        _show_champions(said["champions"], several=len(parts) > 1)


def _metrics(both: Sequence[Mapping[str, Any]]) -> Table:
    """A row a metric, a column for each way to look."""
    table = Table(box=None, pad_edge=False)
    table.add_column("metric", no_wrap=True, min_width=_LABEL)
    for one in both:
        table.add_column("extinct in" if one["extinct"] else "extinct out", justify="right", no_wrap=True, min_width=18)
    for name in both[0]:
        if name not in _COUNTS:
            table.add_row(name, *(_number(one[name]) for one in both))
    return table


def _degrees(both: Sequence[Mapping[str, Any]]) -> list[str]:
    """`out_degree_distribution` of each: how many agents have 0, 1, 2 … children."""
    lines = ["out_degree_distribution: agents with 0, 1, 2 … children"]
    for one in both:
        counts = {int(degree): count for degree, count in one["out_degree_distribution"].items()}
        shown = [f"{counts.get(degree, 0):,}" for degree in range(max(counts, default=0) + 1)]
        more = f" … up to {len(shown) - 1}" if len(shown) > 9 else ""
        lines.append(f"  {'extinct in' if one['extinct'] else 'extinct out':<11}  {'  '.join(shown[:9])}{more}")
    return lines


def _takeovers(species: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    """The common ancestor of the living and selective sweeps, beside what chance alone would do."""
    if species:
        yield "common ancestor of the living, and lines that took over faster than by chance"
    for one in species:
        name = "" if one["species"] is None else f"{one['species']}: "
        living = f"  {name}{one['living']:,} live"
        chance = "" if one["neutral_lag"] is None else f"; by chance about {one['neutral_lag']:,.0f}"
        if one["ancestor_id"] is not None:
            yield f"{living}, from {one['ancestor_id']} born {one['lag']:,} generations ago{chance}"
        elif one["living"]:
            yield f"{living}, from {_count(one['founders'], 'founder')}{chance and f'{chance} generations to one'}"
        else:
            yield f"  {name}nobody lives"
        for sweep in one["sweeps"][-_SWEEPS:]:
            when = f"born {sweep['born']:,}, half of the living by {sweep['crossed']:,}, all by {sweep['generation']:,}"
            yield f"    sweep of {sweep['id']}: {when}"
        if one["sweeps"][:-_SWEEPS]:
            yield f"    and {len(one['sweeps']) - _SWEEPS} sweeps before; --json has all"


def _show_champions(lines: Sequence[Mapping[str, Any]], *, several: bool) -> None:
    """A row a champion."""
    say("champions, each with its line of first parents from its founder, deepest first")
    table = Table(box=None, pad_edge=False)
    for name in ("champion of", *(["replicate"] if several else []), "line"):
        table.add_column(name, no_wrap=True)
    for name in ("born", "depth", "mut.", "cross.", "scars"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("line won", no_wrap=True)
    for line in lines[:_LINES]:
        table.add_row(
            _names(line["holds"]),
            *([str(line["replicate"])] if several else []),
            f"{line['founder']} → {line['id']}",
            *(_number(line[name]) for name in ("born", "depth", "mutations", "crossovers", "scars")),
            _names(line["won"]),
        )
    console.print(table)
    if lines[_LINES:]:
        say(f"and {len(lines) - _LINES} more; --json has all")


def _names(regimes: Iterable[str]) -> str:
    return " ".join(_SHORT[regime] for regime in regimes)


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 1e6 else f"{value:,.6g}" if abs(value) >= 1000 else f"{value:.4g}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
