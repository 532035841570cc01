"""Runs computed batch after batch by one compiled program, each finished batch a part on disk; so it can be resumed.

A part is two tables: the events of its runs, then their generations. The second makes it count; whatever is there
without it is written again. Which runs are done is read from the parts, so more seeds, or batches of another size, go
on with what is there. A run's bits do not depend on the batch it was in.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import polars as pl

from experiments.runs.files import make_folder, write_json, write_table
from experiments.runs.identity import source_hash
from experiments.runs.notes import read_json
from experiments.runs.parts import read_part
from experiments.scars.plan import ARMS, FIRST_WAVE, WORLDS, Arm, ScarPlan
from experiments.scars.program import Runs, make_program
from experiments.scars.records import KEYS, NO_EVENTS, Run, events_of, generations_of, given_to
from experiments.scars.worlds import World, draw_world
from markets.errors import UserError

__all__ = ["Engine", "Tables", "begun_elsewhere", "compute", "keep_strength", "open_folder", "read_parts", "waves"]

_GENERATIONS, _EVENTS = "generations.parquet", "events.parquet"


class Tables(NamedTuple):
    """What is on disk so far."""

    generations: pl.DataFrame
    events: pl.DataFrame

    @property
    def done(self) -> set[tuple[int, str, str, float]]:
        """Keys of the runs that are."""
        return set(self.generations.select(KEYS).unique().iter_rows()) if self.generations.height else set()


class Engine:
    """The compiled program, made when it is first needed.

    Args:
        plan: of the experiment.
        devices: that share the runs.
    """

    def __init__(self, plan: ScarPlan, devices: int) -> None:
        self._plan = plan
        self.program = make_program(plan, devices)
        self.batch = max(-(-plan.batch // devices), 2) * devices

    def run(self, runs: Sequence[Run], events: pl.DataFrame) -> Tables:
        """Compute some runs, at most `batch` of them.

        Args:
            runs: one or more.
            events: of finished runs, among them the pair of every sham.
        """
        data = self.data(runs, events)
        record = jax.device_get(self.program(data))
        return Tables(generations_of(runs, data.world, record), events_of(runs, record))

    def data(self, runs: Sequence[Run], events: pl.DataFrame) -> Runs:
        """The runs as the program takes them, filled up with the last of them; see `run`."""
        filled = [*runs, *itertools.repeat(runs[-1], self.batch - len(runs))]
        return Runs(
            seed=_numbers([run.seed for run in filled], np.uint32),
            arm=_numbers([run.arm for run in filled], np.int32),
            world=_worlds(self._plan, filled),
            given=given_to(self._plan, filled, events),
        )


def waves(plan: ScarPlan, arms: Sequence[Arm] = tuple(Arm)) -> list[list[Run]]:
    """All runs of the experiment: those that need no other, then the shams, seed after seed.

    Args:
        plan: of the experiment, with its strength.
        arms: of it.
    """
    assert plan.strength is not None
    seeds = range(plan.seed, plan.seed + plan.seeds)
    strength = plan.strength
    made = []
    for wave in (FIRST_WAVE, (Arm.SHAM,)):
        chosen = [arm for arm in wave if arm in arms]
        made.append([Run(*each, strength) for each in itertools.product(seeds, WORLDS, chosen)])
    return made


def compute(
    engine: Engine, wave: Sequence[Run], folder: Path, told: Callable[[int, int], None] | None = None
) -> Tables:
    """Compute what is not there yet of a wave, and return all that is.

    Args:
        engine: of the plan.
        wave: runs that need none of each other.
        folder: where parts lie.
        told: is called with the runs done and their number, at the beginning and after each batch.

    Raises:
        UserError: a part that cannot be read.
    """
    make_folder(folder)
    there = read_parts(folder)
    done = there.done
    left = [run for run in wave if _key(run) not in done]
    tell = told or (lambda *_: None)
    tell(len(wave) - len(left), len(wave))
    number = _next(folder)
    for start in range(0, len(left), engine.batch):
        some = left[start : start + engine.batch]
        made = engine.run(some, there.events)
        write_table(folder / f"{number:04d}-{_EVENTS}", made.events)
        write_table(folder / f"{number:04d}-{_GENERATIONS}", made.generations)
        number += 1
        tell(len(wave) - len(left) + start + len(some), len(wave))
    return read_parts(folder)


def read_parts(folder: Path) -> Tables:
    """All finished parts of a folder.

    Raises:
        UserError: one that cannot be read.
    """
    parts = list(_parts(folder))
    if not parts:
        return Tables(pl.DataFrame(), NO_EVENTS)
    generations, events = zip(*parts, strict=True)
    return Tables(pl.concat(generations), pl.concat(events))


def open_folder(out: Path, plan: ScarPlan) -> ScarPlan:
    """The plan as the folder has it: with the strength that a pilot found, if one did.

    Raises:
        UserError: the folder holds results of other settings.
    """
    note = out / "study.json"
    make_folder(out)
    if not note.exists():
        if any(out.iterdir()):
            raise UserError(f"{out}: holds something that is no study of scars; name another folder")
        told = {"fingerprint": plan.fingerprint(), "strength": plan.strength, "plan": dataclasses.asdict(plan)}
        write_json(note, {**told, "source_hash": source_hash()})
        return plan
    known = read_json(note)
    if known.get("fingerprint") != plan.fingerprint():
        own, theirs = dataclasses.asdict(plan), known.get("plan", {})
        differing = [key for key in own if key not in ("seeds", "batch") and _plain(own[key]) != theirs.get(key)]
        others = ", ".join(f"{key}={theirs.get(key)}" for key in differing) or "another version"
        raise UserError(f"{out}: holds results of {others}; name another folder, or ask for the same")
    return dataclasses.replace(plan, strength=known["strength"])


def begun_elsewhere(out: Path) -> bool:
    """Whether another version of this program began what the folder holds; which one did is not always known."""
    source = source_hash()
    return bool(read_json(out / "study.json").get("source_hash", source) != source)


def keep_strength(out: Path, strength: float) -> None:
    """Note the strength that the pilot found, for whoever goes on in this folder."""
    note = out / "study.json"
    write_json(note, {**read_json(note), "strength": strength})


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _worlds(plan: ScarPlan, runs: Sequence[Run]) -> World:
    """The worlds of runs, stacked; each is drawn once."""
    known: dict[tuple[int, str, float], World] = {}
    for run in runs:
        key = (run.seed, run.world, run.strength)
        if key not in known:
            known[key] = draw_world(
                run.seed,
                run.world,
                strength=run.strength,
                generations=plan.generations,
                episodes=plan.episodes,
                bars=plan.bars,
                crashes=plan.crashes,
                rare=plan.rare,
            )
    worlds = [known[run.seed, run.world, run.strength] for run in runs]
    stacked: World = jax.tree.map(lambda *leaves: np.stack(leaves), *worlds)
    return stacked


def _numbers(values: Sequence[int], dtype: Any) -> Any:
    """As the program takes them."""
    return np.asarray(values, dtype)


def _parts(folder: Path) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    for path in sorted(folder.glob(f"*-{_GENERATIONS}")):
        beside = path.with_name(path.name.replace(_GENERATIONS, _EVENTS))
        tables = []
        for each in (path, beside):
            try:
                tables.append(read_part(each))
            except (OSError, ValueError) as error:
                told = f"cannot be read ({error}); delete it and {path.name} to have it made again"
                raise UserError(f"{each}: {told}") from None
        yield tables[0], tables[1]


def _next(folder: Path) -> int:
    """Number of the next part."""
    numbers = [int(path.name.split("-")[0]) for path in folder.glob(f"*-{_GENERATIONS}")]
    return max(numbers, default=-1) + 1


def _key(run: Run) -> tuple[int, str, str, float]:
    return run.seed, run.world, ARMS[run.arm], run.strength
