"""A run's report, from its folder to one HTML file: every part in turn, then the file, whole or not at all."""

import datetime
import importlib.metadata
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arena.schemas import REGIME_NAMES
from experiments.report.facts.agents import CAUSES, OPERATORS, Agents, read_agents
from experiments.report.facts.archive import read_archive
from experiments.report.facts.certificate import certificates
from experiments.report.facts.clades import clades
from experiments.report.facts.curves import curves
from experiments.report.facts.gallery import gallery
from experiments.report.facts.grid import grids
from experiments.report.facts.heat import heat
from experiments.report.facts.origins import origins_of
from experiments.report.facts.scores import read_scores
from experiments.report.facts.sources import NEEDS, Sources
from experiments.report.facts.summary import market_facts, run_facts
from experiments.report.facts.tree import lineage_tree
from experiments.report.html import document, script_json
from experiments.report.packing import Packed, coarse, pack_all
from experiments.runs.directory import RunDirectory
from experiments.runs.files import check_out, write_whole
from markets.account import REASONS
from markets.errors import UserError

__all__ = ["VERSION", "check_page", "journey_columns", "report_facts", "write_report"]

VERSION = 1
"""Of what the facts mean, see docs/report.md."""

ROOM = 13_000_000
"""Bytes that facts and columns may take together; the drawing library and the page's own scripts take 1.5 MB more."""

Tell = Callable[[str, str], object]


def _quiet(_label: str, _line: str) -> None:
    """Say nothing."""


def write_report(
    directory: RunDirectory,
    out: Path,
    *,
    only_records: bool = False,
    made: datetime.datetime | None = None,
    tell: Tell = _quiet,
) -> None:
    """Write the report on a run; the run may be at work, killed or damaged, and nothing else in its folder changes.

    Args:
        directory: of the run.
        out: the file.
        only_records: leave the market alone, so that champions do not trade again, which takes most of the time.
        made: the moment that the report says; now by default. All else is the same for the same run.
        tell: is given a label and a line whenever something is done.

    Raises:
        UserError: the file cannot be where it is wanted.
        OSError: the disk is full, or the folder cannot be written.
    """
    check_page(out)
    facts, columns = report_facts(directory, only_records=only_records, tell=tell)
    moment = made or datetime.datetime.now(datetime.UTC)
    facts = {"version": VERSION, "made": moment.isoformat(timespec="seconds"), **facts}
    text = document(facts, {name: packed.base64 for name, packed in columns.items()}, title=_title(facts["run"]))
    raw = text.encode("utf-8", "replace")  # half a pair of UTF-16 may stand in a symbol's name
    write_whole(out, lambda temporary: temporary.write_bytes(raw))
    tell("size", f"{len(raw) / 1e6:.1f} MB")


def check_page(out: Path) -> None:
    """See that a report may be written there.

    Raises:
        UserError: it may not.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{out}: does not end in .html; name a file that does")
    check_out(out)


def report_facts(
    directory: RunDirectory, *, only_records: bool = False, tell: Tell = _quiet, room: int = ROOM
) -> tuple[dict[str, Any], dict[str, Packed]]:
    """Everything the page is told, but for the moment: the facts, and the packed columns by name.

    Args:
        directory: of the run.
        only_records: as in `write_report`.
        tell: likewise.
        room: bytes for facts and columns together; what journeys leave of it is the lineage tree's.
    """
    sources = Sources.of(directory)
    agents = read_agents(sources)
    scores = read_scores(sources, agents) if agents else None
    archive = read_archive(sources, agents)
    words = _words(sources, agents)
    tell("tables", f"{_many(sources.done, 'generation')}, {_many(len(agents) if agents else 0, 'agent')}")
    if archive.table.height and not only_records:
        tell("champions", "trade the bars again …")
    found = gallery(sources, agents.tree if agents else None, words["species"], trade=not only_records)
    champions, groups = journey_columns(found.champions)
    judged, days = certificates(sources, archive)
    columns = pack_all(groups | days)
    run = run_facts(sources, agents)
    run["market"] |= market_facts(found.world.supply, found.world.market) if found.world else {}
    facts: dict[str, Any] = {
        "arena": importlib.metadata.version("lineage-arena"),
        "regimes": list(REGIME_NAMES),
        **words,
        "reasons": list(REASONS),
        "run": run,
        "standings": found.standings,
        "curves": curves(sources, agents, scores, archive),
        "clades": clades(sources, agents),
        "heat": heat(sources, agents, scores, archive),
        "champions": champions,
        "certificates": judged,
        "grids": grids(sources, archive),
    }
    if origins := origins_of(sources):
        facts["origins"] = origins
    room -= len(script_json(facts)) + sum(len(one.base64) for one in columns.values())
    facts["tree"], of_tree = lineage_tree(sources, agents, scores, archive, budget=max(room, 0))
    columns |= of_tree
    if facts["tree"] is not None:
        tell("lineage", f"{facts['tree']['rows']:,} of {_many(facts['tree']['born_total'], 'agent')}")
    _tell_missing(sources, facts["standings"])
    facts["missing"] = [{key: _within(directory, text) for key, text in one.items()} for one in sources.missing.facts()]
    facts["notes"] = list(sources.missing.noted)
    facts["columns"] = {name: one.description for name, one in columns.items()}
    for line in dict.fromkeys(f"{entry['what']}: {entry['why']}" for entry in facts["missing"]):
        tell("missing", line)
    return facts, columns


def journey_columns(
    champions: list[dict[str, Any]] | None,
) -> tuple[list[dict[str, Any]] | None, dict[str, dict[str, NDArray[Any]]]]:
    """Champions whose journeys name their columns, and these columns by name."""
    groups: dict[str, dict[str, NDArray[Any]]] = {}
    shown = []
    for champion in champions or ():
        journeys = []
        for place, journey in enumerate(champion["journeys"]):
            names = {kind: f"{kind}-{champion['key']}-{place}" for kind in ("columns", "trades")}
            for kind, name in names.items():
                groups[name] = {
                    key: coarse(values) if values.dtype == np.float32 else values
                    for key, values in journey[kind].items()
                }
            journeys.append({**journey, **names})
        shown.append({**champion, "journeys": journeys})
    return shown or None, groups


def _tell_missing(sources: Sources, standings: object) -> None:
    """Complete the list of what is missing, once all parts have been made."""
    if not sources.done:
        for part in NEEDS:
            if part != "run":
                sources.missing.add(
                    part, "tables", "Nothing is on record yet: tables are written every few generations."
                )
    elif standings is None and sources.frame("archive").is_empty() and not sources.problems["archive"]:
        sources.missing.add(
            "standings", "archive.parquet", "There is no champion yet: nobody has come into the archive."
        )
    sources.tell()


def _within(directory: RunDirectory, text: str) -> str:
    """A sentence that names files as they lie in the run: whose machine it was is nobody's business."""
    return text.replace(f"{directory.root}{os.sep}", "").replace(f"{directory.root.resolve()}{os.sep}", "")


def _words(sources: Sources, agents: Agents | None) -> dict[str, list[str]]:
    """Names by index: species, operators, and causes of deaths and scars."""
    if agents is not None:
        words = {"species": agents.names, "operators": agents.operators, "causes": agents.causes}
    else:
        species = sources.frame("generations", ["generation", "species"])["species"].unique(maintain_order=True)
        words = {"species": tuple(species), "operators": OPERATORS, "causes": CAUSES}
    return {name: list(own) for name, own in words.items()}


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _title(run: dict[str, Any]) -> str:
    symbols = run["market"]["symbols"]
    names = ", ".join(symbols[:3]) + (f" and {len(symbols) - 3} more" if len(symbols) > 3 else "")
    return f"Run {run['id']}" + (f" · {names}" if names else "")
