"""A run's tables as a report wants them: whatever of them can be read, and a sentence on whatever cannot.

A run may be at work, killed, or damaged. Its folder is listed once, at the start; nothing in it is locked or changed.
A part that is gone, damaged or foreign is left out and said, and the rest is read. Tables of a run that has not ended
are read up to the last generation that all of them have, for it writes one table after another; but what its manifest
or a checkpoint says was done was written in all of them.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from arena.schemas import TABLES
from experiments.report.facts.missing import Missings
from experiments.runs.directory import RunDirectory
from experiments.runs.parts import PART, filled, fits, part_schema, read_part
from markets.errors import UserError

__all__ = ["NEEDS", "Part", "Sources"]

NEEDS: Mapping[str, tuple[str, ...]] = {
    "run": ("births", "deaths", "scars", "timings"),
    "standings": ("archive", "fitness"),
    "curves": ("generations", "fitness", "births", "deaths", "scars", "archive", "timings"),
    "tree": ("births", "deaths", "fitness", "scars", "archive"),
    "clades": ("births", "deaths"),
    "heat": ("births", "deaths", "fitness", "archive"),
    "champions": ("archive", "births"),
}
"""Parts of the report, and the tables each is made of."""

_FINISHED, _BEGUN = "finished", ("running", "interrupted")
_LARGE = ("births", "fitness")
_CONSEQUENCE = " Whoever died then is shown as living."


class Part(NamedTuple):
    """A file of a table: its generations, the last included."""

    path: Path
    first: int
    last: int


@dataclasses.dataclass(frozen=True)
class Sources:
    """One look at a run.

    Attributes:
        directory: of the run.
        config: its configuration; empty where that is lost.
        manifest: likewise.
        state: `running`, `interrupted`, `finished` or `unknown`.
        done: generations that the tables hold, or held.
        parts: of each table, in order.
        missing: what was found to be missing so far.
        problems: by table, what cannot be read of it and why.
        lost: parts that turned out to be unreadable.
    """

    directory: RunDirectory
    config: Mapping[str, Any]
    manifest: Mapping[str, Any]
    state: str
    done: int
    parts: Mapping[str, tuple[Part, ...]]
    missing: Missings = dataclasses.field(default_factory=Missings)
    problems: dict[str, dict[tuple[str, str], None]] = dataclasses.field(default_factory=dict)
    lost: set[Path] = dataclasses.field(default_factory=set)
    _kept: dict[str, pl.DataFrame] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, directory: RunDirectory) -> "Sources":
        """Look at a run."""
        missing = Missings()
        config = _noted(directory.read_config, directory.config, missing)
        manifest = _noted(directory.read_manifest, directory.manifest, missing)
        if not directory.manifest.exists():
            missing.add("run", directory.manifest.name, f"The file {directory.manifest.name} is not there.")
        state = directory.state(manifest) if manifest else "unknown"
        safe = directory.done(manifest)  # asked before the tables are listed: what is done by then is in them
        problems: dict[str, dict[tuple[str, str], None]] = {name: {} for name in TABLES}
        parts = {name: _listed(directory, name, problems[name]) for name in TABLES}
        last = max(_last(list(parts.values()), state), safe - 1)
        parts = {name: tuple(part for part in own if part.last <= last) for name, own in parts.items()}
        for name, own in parts.items():
            for sentence in _gaps(name, own, last):
                problems[name][f"{name}.parquet", sentence] = None
        sources = cls(directory, config, manifest, state, last + 1, parts, missing, problems)
        sources._note_state()
        return sources

    def frames(self, name: str, columns: Sequence[str], *, words: Sequence[str] = ()) -> Iterator[pl.DataFrame]:
        """A table's readable parts, one after another.

        Args:
            name: of the table.
            columns: those wanted.
            words: of these, columns of few different strings, which come as categories.
        """
        for part in self.parts[name]:
            frame = self._read(name, part, list(dict.fromkeys([*columns, "generation"])), words)
            if frame is not None:
                yield frame.select(columns)

    def frame(self, name: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """A table, as much of it as can be read; empty where nothing can. Small ones are kept for the next who asks."""
        wanted = list(columns or TABLES[name])
        if name in _LARGE:
            empty = pl.DataFrame(schema={column: TABLES[name][column] for column in wanted})
            return pl.concat([empty, *self.frames(name, wanted)])
        if name not in self._kept:
            self._kept[name] = pl.concat([pl.DataFrame(schema=TABLES[name]), *self.frames(name, list(TABLES[name]))])
        return self._kept[name].select(wanted)

    def known(self, name: str) -> NDArray[np.bool_]:
        """[generations] whether a part that could be read holds the generation; asked after the table was read."""
        known = np.zeros(self.done, np.bool_)
        for part in self.parts[name]:
            known[part.first : part.last + 1] = part.path not in self.lost
        return known

    def gone(self, name: str) -> bool:
        """Whether nothing of a table that was written can be read; asked after it was."""
        return bool(self.done) and not self.known(name).any()

    def setting(self, *keys: str, default: Any) -> Any:
        """A value of the configuration, such as `setting("fitness", "bars", default=1)`; of the default's kind."""
        found: Any = self.config
        for key in keys:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found if isinstance(found, type(default)) and not isinstance(found, bool) else default

    @functools.cached_property
    def replicates(self) -> tuple[int, int]:
        """How many replicates there are, and how many islands each has."""
        count = self.setting("evolution", "replicates", default=1)
        islands = self.setting("evolution", "islands", default=1)
        return max(count, 1), max(islands, 1)

    def replicate_of(self, islands: NDArray[Any]) -> NDArray[np.int64]:
        """The replicate of each island, 0 the first; islands are counted on through all replicates."""
        count, own = self.replicates
        return np.minimum(np.asarray(islands, np.int64) // own, count - 1)

    @property
    def record(self) -> str:
        """Whose rows `fitness` holds: `all`, `births` or `archive`."""
        return str(self.setting("record", "fitness", default="all"))

    def tell(self) -> None:
        """Put what the tables lack on the list, for each part of the report that needs it."""
        for part, tables in NEEDS.items():
            for name in tables:
                for what, why in self.problems[name]:
                    more = _CONSEQUENCE if name == "deaths" and part != "run" and part != "curves" else ""
                    self.missing.add(part, what, f"{why}{more}")

    def _read(self, name: str, part: Part, columns: Sequence[str], words: Sequence[str]) -> pl.DataFrame | None:
        """A part's columns; None where it cannot be read, which is then said."""
        what = f"{name}.parquet/{part.path.name}"
        lost = f"{_span(part.first, part.last)} of the table {name} are left out"
        try:
            schema = part_schema(part.path)
            if not fits(schema, name):
                raise ValueError(f"its columns are not those of {name}")
            there = [column for column in columns if column in schema]
            frame = filled(read_part(part.path, there, words=words), name, columns)
            _see_generations(frame, name, part)
        except FileNotFoundError:
            self.problems[name][what, f"A part went away while it was read; {lost}."] = None
        except (ValueError, OSError) as error:
            self.problems[name][what, f"A part cannot be read; {lost}: {_brief(error)}."] = None
        else:
            return frame
        self.lost.add(part.path)
        return None

    def _note_state(self) -> None:
        target = self.manifest.get("target")
        so_far = f"{self.done:,} of {target:,} generations" if isinstance(target, int) else _count(self.done)
        if self.state == "running":
            self.missing.note(f"The run is still in progress: {so_far}.")
        elif self.state == "interrupted":
            self.missing.note(f"The run was interrupted after {so_far}; arena resume goes on with it.")
        elif self.state != _FINISHED:
            self.missing.note(f"How far the run is meant to go is not known; there are {_count(self.done)} on record.")
        kept = self.record
        if kept != "all":
            whose = "its first generation" if kept == "births" else "generations in which it was tried on validation"
            self.missing.note(f"Of each agent, fitness holds {whose} alone (record.fitness={kept}).")


def _noted(read: Callable[[], dict[str, Any]], path: Path, missing: Missings) -> dict[str, Any]:
    """A small file of the run, or nothing and a sentence why."""
    try:
        return read()
    except UserError as error:
        why = str(error).removeprefix(f"{path}: ").partition(";")[0]
        missing.add("run", path.name, f"The file {path.name} cannot be used: {why}.")
        return {}


def _listed(directory: RunDirectory, name: str, problems: dict[tuple[str, str], None]) -> tuple[Part, ...]:
    """The parts of a table by their names, those that overlap an earlier one left out."""
    found: list[Part] = []
    for path in sorted(directory.table(name).glob("[!.]*.parquet")):
        named = PART.fullmatch(path.name)
        first, last = (int(named[1]), int(named[2])) if named else (0, -1)
        if last < first or (found and first <= found[-1].last):
            problems[
                f"{name}.parquet/{path.name}", f"By its name it is no part of the table {name}; it was not read."
            ] = None
        else:
            found.append(Part(path, first, last))
    return tuple(found)


def _last(parts: Sequence[Sequence[Part]], state: str) -> int:
    """The last generation that tables should all have, by their own parts; -1 where that is none.

    A run writes the parts of the same generations one after another, so one that has not ended may lack the last of
    some tables, but none before it.
    """
    ends = [own[-1].last for own in parts if own]
    if not ends or state == _FINISHED:
        return max(ends, default=-1)
    begun = state in _BEGUN and len(ends) < len(parts)
    return max(-1 if begun else min(ends), *(own[-1].first - 1 for own in parts if own))


def _gaps(name: str, parts: Sequence[Part], last: int) -> list[str]:
    """Sentences on generations up to `last` that no part of a table holds."""
    if not parts and last >= 0:
        return [f"The table {name} is not there."]
    sentences, after = [], 0
    for first, end in [*((part.first, part.last) for part in parts), (last + 1, last)]:
        if first > after:
            sentences.append(f"The part of the table {name} with {_span(after, first - 1)} is not there.")
        after = end + 1
    return sentences


def _see_generations(frame: pl.DataFrame, name: str, part: Part) -> None:
    """See that a part holds the generations its name says; births may be of the one after, founders of the first.

    Raises:
        ValueError: it does not.
    """
    if not frame.height:
        return
    generations = frame["generation"].to_numpy()
    least, most = int(generations.min()), int(generations.max())
    if least < part.first or most > part.last + (name == "births"):
        raise ValueError(f"it holds {_span(least, most)}")


def _brief(error: Exception) -> str:
    return str(error).partition(". ")[0].rstrip(".")


def _span(first: int, last: int) -> str:
    return f"generation {first}" if first == last else f"generations {first} to {last}"


def _count(generations: int) -> str:
    return f"{generations:,} generation{'' if generations == 1 else 's'}"
