"""Evolving: from overrides to a finished run directory, and going on with one that is there already."""

import datetime
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

from arena.api import Arena
from arena.founding import found
from arena.plan import make_plan
from arena.records import GenerationRecord
from arena.standings import standings
from arena.state import ArenaState
from experiments.checkpoint import last_checkpoint, load_checkpoint, save_checkpoint
from experiments.configuration import compose
from experiments.estimate import estimate
from experiments.identity import data_hash, fixed_bits, run_id, source_hash, versions
from experiments.lineage import write_lineage
from experiments.recording import Recorder, forget_from
from experiments.rundir import RunDirectory
from experiments.study import Study, load_market, make_study, oracle_path
from experiments.terminal import Progression, console, standings_table
from markets.errors import UserError

__all__ = ["resume", "run"]


def run(overrides: list[str]) -> int:
    """Evolve the study that overrides describe; a study that is there already is gone on with, or shown.

    Raises:
        UserError: a mistake in the configuration or the data.
    """
    config = compose(overrides)
    _absolute(config)
    study = make_study(config)
    job = _Job(study)
    root = Path(study.runs_dir) / job.id
    if study.check:
        job.describe(RunDirectory(root))
        return 0
    if study.force:
        number = 1
        while root.exists():
            number += 1
            root = Path(study.runs_dir) / f"{job.id}-{number}"
    return job.go(RunDirectory(root))


def resume(directory: RunDirectory) -> int:
    """Go on with a run from its last checkpoint.

    Raises:
        UserError: its configuration or data are not what they were.
    """
    study = make_study(directory.read_config())
    job = _Job(study)
    known = directory.read_manifest().get("run_id", job.id)
    if known != job.id:
        raise UserError(
            f"{directory.root}: is run {known}, but its configuration, bars and device now make run {job.id}; "
            "bring back the bars and settings it was made with"
        )
    return job.go(directory)


def _absolute(config: dict[str, Any]) -> None:
    """Write paths of bars in full, so that a run can be resumed from any folder."""
    path = config.get("market", {}).get("path")
    if isinstance(path, str) and path:
        config["market"]["path"] = str(Path(path).resolve())
    elif isinstance(path, list):
        config["market"]["path"] = [str(Path(each).resolve()) if isinstance(each, str) else each for each in path]


class _Job:
    """One study with everything made ready that does not depend on where it is written."""

    def __init__(self, study: Study) -> None:
        _prepare_devices(study)
        self.study = study
        self.supply, self.market = load_market(study)
        self.plan = make_plan(study.settings, len(self.market.features))
        self.data = data_hash(self.supply.bars)
        self.id = run_id(study.config, self.data, fixed_bits(self.plan))

    @property
    def target(self) -> int:
        """Generations of the run."""
        return self.study.settings.evolution.generations

    def describe(self, directory: RunDirectory) -> None:
        """Say what the run is and what it will need."""
        plan, market = self.plan, self.market
        needs = estimate(plan, market, self.study.record, self.target)
        symbols = [symbol for segment in market.segments for symbol in segment.symbols]
        shown = ", ".join(symbols[:4]) + (f" and {len(symbols) - 4} more" if len(symbols) > 4 else "")
        begin, end = (np.datetime_as_string(stamp, "m") for stamp in (market.time.min(), market.time.max()))
        rows = {part: sum(len(getattr(s.rows, part)) for s in market.segments) for part in ("train", "validation")}
        cash = "" if not market.costless else "  costs: NONE, not even a spread; results flatter every trader"
        console.print(
            f"run {self.id}  in {directory.root}\n"
            f"market  {shown}  {begin} to {end}  "
            f"train {rows['train']:,} bars, validation {rows['validation']:,}{cash}\n"
            f"agents  {' + '.join(f'{plan.slots * plan.islands:,} {name}' for name in plan.names)} on {plan.islands} "
            f"islands{f' × {plan.replicates} replicates' if plan.replicates > 1 else ''}, "
            f"{needs.agent_bars:,} agent-bars a generation, {self.target} generations\n"
            f"device  {plan.mesh.devices.size} × {jax.devices()[0].device_kind}  "
            f"memory about {needs.memory / 2**20:,.0f} MiB, disk about {max(needs.disk / 2**20, 1):,.0f} MiB"
        )

    def go(self, directory: RunDirectory) -> int:
        """Run to the target from wherever the directory stands."""
        manifest = directory.read_manifest()
        if manifest:
            directory.clear_leftovers()
        checkpoint = last_checkpoint(directory) if manifest else None
        like = jax.eval_shape(lambda: found(self.plan, len(self.market.tape.validation)))
        state = load_checkpoint(checkpoint, like) if checkpoint else None
        done = int(state.generation) if state else 0
        self.describe(directory)
        if state is not None and done >= self.target and manifest.get("state") == "finished":
            console.print(f"finished before, {done} generations; force=true runs it again")
            self._conclude(directory, state)
            return 0
        if manifest and manifest.get("source_hash") != source_hash():
            console.print("note: this run was begun by another version of the program; its bits may not go on the same")
        if not manifest:
            directory.create(self.study.config)
        forget_from(directory, done)
        directory.lineage.unlink(missing_ok=True)
        directory.note(
            run_id=self.id,
            state="running",
            seed=self.study.settings.seed,
            generations=done,
            target=self.target,
            data_hash=self.data,
            symbols=[symbol for segment in self.market.segments for symbol in segment.symbols],
            features=list(self.market.features),
            source_hash=source_hash(),
            versions=versions(),
            device={"kind": jax.devices()[0].device_kind, "count": int(self.plan.mesh.devices.size)},
            bits=fixed_bits(self.plan),
            started=manifest.get("started", _now()),
            finished=None,
        )
        state = self._evolve(directory, state)
        done = int(state.generation)
        if done < self.target:
            directory.note(state="interrupted", generations=done, finished=_now())
            console.print(f"interrupted after {done} generations; go on with: arena resume {directory.root}")
            return 130
        write_lineage(directory)
        directory.note(state="finished", generations=done, finished=_now())
        self._conclude(directory, state)
        return 0

    def _evolve(self, directory: RunDirectory, state: ArenaState | None) -> ArenaState:
        """The loop: one generation computes while the last one is written."""
        study, target = self.study, self.target
        arena = Arena(study.settings, self.market, state)
        recorder = Recorder(directory, study.record, self.plan.names, self.market.time, study.settings.fitness.bars)
        if state is None:
            recorder.founders(arena.founders(arena.state))
        first = int(arena.state.generation)
        if first >= target:
            return arena.state
        console.print("compiling one generation …")
        arena.compile()
        with Progression(self.id, first, target, shown=study.terminal.progress) as shown, _interruptible() as stop:
            last = time.monotonic()

            def keep(record: GenerationRecord) -> None:
                nonlocal last
                on_host: GenerationRecord = jax.device_get(record)
                now = time.monotonic()
                seconds, last = now - last, now
                number = int(on_host.generation)
                if not on_host.finite:
                    raise UserError(
                        f"generation {number}: a score is not a number; the run stopped at its last checkpoint. "
                        "Bars with extreme prices are the likely cause"
                    )
                timing = {
                    "seconds": seconds,
                    "compile_seconds": arena.compile_seconds if number == first else 0.0,
                    "agent_bars_per_second": arena.agent_bars / seconds,
                }
                shown.show(recorder.add(on_host, timing))

            waiting: GenerationRecord | None = None
            for number in range(first, target):
                record = arena.step()
                if waiting is not None:
                    keep(waiting)
                waiting = record
                if (number + 1) % study.record.checkpoint == 0 or number + 1 == target or stop.is_set():
                    keep(waiting)
                    waiting = None
                    recorder.flush()
                    save_checkpoint(directory, arena.state, study.record.keep)
                if stop.is_set():
                    break
        return arena.state

    def _conclude(self, directory: RunDirectory, state: ArenaState) -> None:
        """The table of champions and benchmarks, and where everything lies."""
        table = standings(self.plan, self.market, state.archive, oracle_path(self.supply, self.market))
        costs = "no costs at all" if self.market.costless else "after costs"
        many = f", replicate 1 of {self.plan.replicates}" if self.plan.replicates > 1 else ""
        title = f"champions beside what anyone could have done, {costs}{many}"
        console.print(standings_table(table, title))
        console.print(str(directory.root))


def _prepare_devices(study: Study) -> None:
    """Let the cores of a CPU be devices; must come before JAX first looks for any."""
    wanted = study.settings.device.count or os.cpu_count() or 1
    try:
        jax.config.update("jax_num_cpu_devices", wanted)
    except RuntimeError:  # JAX has started in this process: an earlier job of a sweep, or a notebook
        return


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Let Ctrl-C ask the loop to stop after its generation; a second one stops at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: Any) -> None:
        del number, frame
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        console.print("stopping after this generation; press Ctrl-C again to stop at once")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
