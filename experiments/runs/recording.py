"""Recording: generations become part files while the next generation computes.

A table is a folder of parts named by the generations they hold. A part is written whole or not at all, and a checkpoint
forces a flush before it, so a killed run has no torn part, no gap and no duplicate.
"""

from pathlib import Path

import jax
import numpy as np
import polars as pl
from numpy.typing import NDArray

from arena.frames import frames
from arena.records import GenerationRecord
from arena.rollout import Trader
from arena.schemas import TABLES
from experiments.configuration.study import RecordSettings
from experiments.runs.directory import RunDirectory
from experiments.runs.files import sync_folder, write_table
from experiments.runs.parts import PART, fits, part_schema
from experiments.runs.trees import generation_of, save_tree
from markets.errors import UserError

__all__ = ["Recorder", "check_parts", "forget_from"]


class Recorder:
    """Writes one run's tables and the genomes of its champions."""

    def __init__(
        self,
        run: RunDirectory,
        settings: RecordSettings,
        species: tuple[str, ...],
        time: NDArray[np.datetime64],
        least: int,
    ) -> None:
        self._run, self._settings, self._species, self._time = run, settings, species, time
        self._least, self._fold = least, 0
        self._buffer: dict[str, list[pl.DataFrame]] = {name: [] for name in TABLES}
        self._first: int | None = None
        self._last = -1

    def enter(self, time: NDArray[np.datetime64], fold: int) -> None:
        """Take generations of another fold from here on.

        Args:
            time: stamp of each row of its tape.
            fold: its number.
        """
        self._time, self._fold = time, fold

    def founders(self, births: list[pl.DataFrame]) -> None:
        """Take the births of the founders; they belong to the first part."""
        self._buffer["births"].extend(births)

    def add(self, record: GenerationRecord, timing: dict[str, float]) -> dict[str, pl.DataFrame]:
        """Take one generation; a full buffer is written.

        Args:
            record: on the host.
            timing: seconds, compile_seconds, agent_bars_per_second.

        Returns:
            The generation's tables.
        """
        generation = int(record.generation)
        kept = self._settings.fitness
        made = frames(record, self._species, self._time, fitness=kept, least=self._least, fold=self._fold)
        made["timings"] = pl.DataFrame({"generation": [generation], **timing}, schema=TABLES["timings"])
        for name, frame in made.items():
            self._buffer[name].append(frame)
        self._first = generation if self._first is None else self._first
        self._last = generation
        self._save_champions(record)
        if self._last - self._first + 1 >= self._settings.flush:
            self.flush()
        return made

    def flush(self) -> None:
        """Write what is buffered, every table one part."""
        if self._first is None:
            return
        for name, found in self._buffer.items():
            path = self._run.table(name) / f"{self._first:08d}-{self._last:08d}-0.parquet"
            table = pl.concat(found) if found else pl.DataFrame(schema=TABLES[name])
            write_table(path, table, scratch=self._run.root)
            found.clear()
        self._first = None

    def _save_champions(self, record: GenerationRecord) -> None:
        """Store the genomes that improved the archive.

        An agent that improves it again later may have been scarred since; then it gets a second file.
        """
        gained, generation = record.archive, int(record.generation)
        for place in zip(*np.nonzero(np.asarray(gained.improved)), strict=True):
            identity, species = int(gained.id[place]), int(gained.species[place])
            path = self._run.genomes / f"{identity}.safetensors"
            if path.exists() and generation_of(path) != generation:
                path = self._run.genomes / f"{identity}-{generation}.safetensors"
            trader: Trader = jax.tree.map(lambda leaf, place=place: leaf[place], gained.traders[species])
            about = {"id": str(identity), "species": self._species[species], "generation": str(generation)}
            save_tree(path, trader, about)


def forget_from(run: RunDirectory, generation: int) -> None:
    """Delete parts and genomes of a generation or later ones: what a checkpoint before it does not know.

    Raises:
        UserError: a genome is damaged.
        OSError: the folder cannot be written.
    """
    late = [part for name in TABLES for part, (_, last) in _parts(run, name) if last >= generation]
    late += [path for path in sorted(run.genomes.glob("[0-9]*.safetensors")) if generation_of(path) >= generation]
    for path in late:
        path.unlink()
    for folder in {path.parent for path in late}:
        sync_folder(folder)


def check_parts(run: RunDirectory, generation: int) -> None:
    """See that every table is whole up to a generation, before anything is changed.

    What is looked at is that parts follow each other without a gap, and that each has the end of a Parquet file with
    the right columns; the rows in between are not read.

    Raises:
        UserError: the first part that is missing, damaged or foreign.
    """
    for name in TABLES:
        parts, done = _parts(run, name), 0
        for path, (first, last) in parts:
            if first >= generation:
                break
            if first != done or last >= generation:
                raise UserError(run.lost(path, f"generations {first} to {last} are not what follows {done - 1}"))
            try:
                found = part_schema(path)
            except (ValueError, OSError) as error:
                raise UserError(run.lost(path, error)) from error
            if not fits(found, name):
                raise UserError(run.lost(path, f"its columns are not those of {name}"))
            done = last + 1
        if done < generation:
            raise UserError(run.lost(run.table(name), f"the part with generation {done} is missing"))


def _parts(run: RunDirectory, name: str) -> list[tuple[Path, tuple[int, int]]]:
    """Parts of a table in order, with their first and last generation.

    Raises:
        UserError: a file that is no part.
    """
    found = []
    for path in sorted(run.table(name).glob("[!.]*.parquet")):
        named = PART.fullmatch(path.name)
        if named is None:
            raise UserError(f"{path}: no part of this run, whose names are <first>-<last>-<process>; move it away")
        found.append((path, (int(named[1]), int(named[2]))))
    return found
