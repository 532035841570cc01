"""A job: one study made ready, and its run from wherever the directory stands to the target.

Process 0 alone reads and writes the directory; all processes evolve.
"""

import contextlib
import datetime
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from arena.founding import found
from arena.plan import make_plan
from arena.sharding import on_host
from arena.standings import standings
from arena.state import ArenaState
from experiments.configuration.study import Study, fold_market, joined_supply, load_supplies, oracle_path
from experiments.exits import INTERRUPTED
from experiments.founders.founding import RANDOM
from experiments.hardware.machine import measure_speed, use_cores
from experiments.hardware.processes import acquaint, join
from experiments.runs.checkpoint import last_checkpoint, load_checkpoint
from experiments.runs.directory import RunDirectory
from experiments.runs.estimate import Estimate, check_market, check_room, estimate, measured, size
from experiments.runs.files import make_folder
from experiments.runs.founders import founded
from experiments.runs.identity import (
    data_hash,
    fixed_bits,
    founders_mark,
    placeless,
    run_id,
    shared_keys,
    source_hash,
    versions,
)
from experiments.runs.lineage import write_lineage
from experiments.runs.lock import only_one
from experiments.runs.loop import evolve
from experiments.runs.recording import check_parts, forget_from
from experiments.runs.sweeps import Outcome
from experiments.terminal import console, duration, outline, say, standings_lines
from markets.errors import UserError
from markets.preparation import Market

__all__ = ["Job"]


class Job:
    """One study with everything made ready that does not depend on where it is written.

    Args:
        study: the study.
        outcome: told how the run ended, for a sweep.
        founders: what fixes the bits of its founders, where they are there already.
    """

    def __init__(
        self, study: Study, outcome: Outcome | None = None, *, founders: Mapping[str, str] | None = None
    ) -> None:
        use_cores(study.settings.device.count)
        self.study = study
        self.outcome = outcome or Outcome()
        self.processes = join(study.settings.device)
        console.quiet = not self.processes.first
        self.processes.compare({**shared_keys(study.config), "source": source_hash(), **versions()})
        with self.processes.together():
            check_market(study.market, study.settings.evolution.replicates)
            self._supplies = load_supplies(study)
            self.supply, self.market = joined_supply(self._supplies), fold_market(study, self._supplies, 0)
            self.plan = make_plan(study.settings, len(self.market.features))
            self.data = data_hash(self.supply.bars)
            own = founders_mark(study.founders, study.training, study.bundle) if founders is None else founders
            self.bits = {**fixed_bits(self.plan), **own}
            self.id = run_id(study.config, self.data, self.bits)
        self.processes.compare({"bars": self.data, **self.bits})
        if self.processes.count > 1:
            with self.processes.spanning():
                acquaint(self.plan.mesh)

    def ground(self, fold: int) -> Market:
        """The market of a fold, which is the job's from here on.

        Raises:
            UserError: no window fits into it.
        """
        if self.market.fold != fold:
            self.market = fold_market(self.study, self._supplies, fold)
        return self.market

    @property
    def target(self) -> int:
        """Generations of the run."""
        return self.study.settings.evolution.generations

    @property
    def like(self) -> ArenaState:
        """A state of the form this run has in the fold it stands in, by shapes and types alone."""
        form: ArenaState = jax.eval_shape(lambda: found(self.plan, self.market.tape))
        return form

    @property
    def symbols(self) -> list[str]:
        """Symbols in the order of the tape; each once, also where every replicate has a market of its own."""
        return list(dict.fromkeys(symbol for segment in self.market.segments for symbol in segment.symbols))

    def describe(self, directory: RunDirectory, done: int = 0) -> Estimate:
        """Say what the run is and what it will need from here on.

        Args:
            directory: of the run.
            done: generations that are there.
        """
        plan, market, left = self.plan, self.market, max(self.target - done, 0)
        needs = estimate(plan, market, self.study.record, self.target, measure_speed() if left else None)
        needs = measured(needs, directory.read("timings")) if done and left else needs
        compiling, turn, whole = needs.compile_seconds, needs.seconds, needs.total_seconds(left)
        time: tuple[str, ...] = ()
        if compiling is not None and turn is not None and whole is not None:
            time = (f"about {duration(whole)}: {duration(compiling)} to compile, {duration(turn)} a generation",)
        shown = ", ".join(self.symbols[:4]) + (f" and {len(self.symbols) - 4} more" if len(self.symbols) > 4 else "")
        shown += f" × {len(market.reference)} replicates" if len(market.reference) > 1 else ""
        begin, end = (
            np.datetime_as_string(stamp, "m").replace("T", " ") for stamp in (market.time.min(), market.time.max())
        )
        who = " + ".join(f"{plan.slots * plan.islands:,} {name}" for name in plan.names)
        shared = f" of {self.processes.count} processes" if self.processes.count > 1 else ""
        islands = "1 island" if plan.islands == 1 else f"{plan.islands} islands"
        copies = f", {plan.replicates} replicates" if plan.replicates > 1 else ""
        room = f"about {size(needs.memory)} of memory and {size(needs.disk)} of disk"
        outline(
            f"run {self.id}",
            {
                "market": (
                    f"{shown}  {begin} to {end}",
                    *self._parts(),
                    *(("NO COSTS, not even a spread: results flatter every trader",) if market.costless else ()),
                ),
                "agents": (
                    f"{who} on {islands}{copies}",
                    f"{self.target:,} generation{'s' * (self.target > 1)} of {needs.agent_bars:,} agent-bars",
                ),
                "device": (f"{plan.mesh.devices.size} × {jax.devices()[0].device_kind}{shared}",),
                "needs": (*time, room),
                "folder": (str(directory.root),),
            },
        )
        return needs

    def _parts(self) -> list[str]:
        """What is read of the bars, in which part."""
        rows = {
            part: sum(len(getattr(segment.rows, part)) for segment in self.market.segments)
            for part in ("train", "validation", "holdout")
        }
        read = f"{rows['train']:,} bars to train on, {rows['validation']:,} to validate"
        split = self.study.settings.split
        if split.folds == 1:
            return [f"{read}; the holdout stays shut"]
        last = self.target - (split.folds - 1) * split.generations
        return [
            f"{split.folds} folds of {split.generations} generations, the last of {last}",
            f"fold {self.market.fold}: {read}; its piece of {rows['holdout']:,} stays shut",
        ]

    def go(self, directory: RunDirectory) -> int:
        """Run to the target from wherever the directory stands, which process 0 alone reads and writes."""
        processes = self.processes
        with contextlib.ExitStack() as held:
            begun = None
            with processes.together():
                if processes.first:
                    begun = self._open(directory, held)
            if processes.any(processes.first and begun is None):
                if not processes.first:
                    self.outcome.end = "finished before"
                return 0
            expected, state = begun or (None, None)
            fold = int(processes.exchange(str(self.market.fold))[0])
            with processes.together():
                self.ground(fold)
            state = processes.share(state, self.like)
            done = int(state.generation) if state else 0
            try:
                state = evolve(self.study, self.plan, self.ground, self.processes, directory, state, expected=expected)
            except BaseException:
                with contextlib.suppress(OSError, UserError):  # what went wrong first is what is told
                    if processes.first:
                        directory.note(state="interrupted", finished=_now())
                raise
            with processes.together():
                if processes.first:
                    self._close(directory, state)
            if int(state.generation) < self.target:
                return INTERRUPTED
            self.outcome.end = f"resumed after {done}" if done else "finished"
            return 0

    def _open(
        self, directory: RunDirectory, held: contextlib.ExitStack
    ) -> tuple[float | None, ArenaState | None] | None:
        """Make the directory ready, and hold it.

        Returns:
            Seconds that a generation is expected to take, and the state to go on from, where there is one; None where
            the run is over already, and was shown.
        """
        manifest = directory.read_manifest()
        if self.outcome.brief and self._finished(manifest):
            self.outcome.end = "finished before"
            say(f"finished before, {manifest['generations']} generations: {directory.root}")
            return None
        checkpoint = last_checkpoint(directory)
        if checkpoint and not manifest:
            raise UserError(
                f"{directory.manifest}: missing, though there are checkpoints; bring it back, or delete the folder "
                f"{directory.checkpoints} to begin again from the start"
            )
        if checkpoint:
            self.ground(self.study.settings.split.fold_of(max(int(checkpoint.stem) - 1, 0)))
        state = load_checkpoint(checkpoint, self.like) if checkpoint else None
        done = int(state.generation) if state else 0
        needs = self.describe(directory, done)
        if state is not None and done >= self.target and self._finished(manifest):
            say(f"finished before, {done} generations; more evolution.generations go on, force=true starts anew")
            self.conclude(directory, state)
            return None
        check_room(needs, directory.root)
        held.enter_context(directory.writing())
        make_folder(directory.root)
        held.enter_context(only_one(directory.root))
        if (directory.read_manifest(), last_checkpoint(directory)) != (manifest, checkpoint):
            raise UserError(f"{directory.root}: another process was at work on it just now; try again")
        check_parts(directory, done)
        source = source_hash()
        if manifest.get("source_hash", source) != source:
            say("note: begun by another version of this program, so its bits may go on differently")
        if manifest.get("bits", self.bits) != self.bits:
            say(f"note: begun on {manifest['bits'].get('backend', 'other hardware')}, so its bits go on differently")
        if done:
            say(f"going on after {done} generations")
        elif self.study.founders != RANDOM:
            state = founded(self.study, self.plan, self.market, directory, self.supply.bars)
        directory.create(placeless(self.study.config))
        directory.clear_leftovers()
        forget_from(directory, done)
        directory.lineage.unlink(missing_ok=True)
        device = {
            "kind": jax.devices()[0].device_kind,
            "count": int(self.plan.mesh.devices.size),
            "processes": self.processes.count,
        }
        session = {"started": _now(), "generation": done, "source_hash": source, "device": device, "bits": self.bits}
        directory.note(
            run_id=self.id,
            state="running",
            seed=self.study.settings.seed,
            generations=done,
            target=self.target,
            data_hash=self.data,
            symbols=self.symbols,
            features=list(self.market.features),
            source_hash=manifest.get("source_hash", source),
            versions=versions(),
            device=device,
            bits=manifest.get("bits", self.bits),
            started=manifest.get("started", _now()),
            finished=None,
            sessions=[*manifest.get("sessions", []), session],
        )
        return needs.seconds, state

    def _close(self, directory: RunDirectory, state: ArenaState) -> None:
        """Say in the directory how far the run came, and show what came of it."""
        done = int(state.generation)
        if done < self.target:
            directory.note(state="interrupted", generations=done, finished=_now())
            say(f"interrupted after {done} generations; go on with: arena resume {directory.root}")
            return
        write_lineage(directory)
        directory.note(state="finished", generations=done, finished=_now())
        self.conclude(directory, state)

    def _finished(self, manifest: Mapping[str, Any]) -> bool:
        """Whether a run went to the target, or beyond."""
        return manifest.get("state") == "finished" and int(manifest.get("generations", 0)) >= self.target

    def conclude(self, directory: RunDirectory, state: ArenaState) -> None:
        """The table of champions and benchmarks, and where everything lies."""
        archive = jax.tree.map(jnp.asarray, on_host(state.archive))
        table = standings(self.plan, self.market, archive, oracle_path(self.supply, self.market))
        costs = "without any costs" if self.market.costless else "after costs"
        many = f", replicate 1 of {self.plan.replicates}" if self.plan.replicates > 1 else ""
        for line in standings_lines(table, f"champions beside what anyone could have done, {costs}{many}"):
            say(line)
        say()
        say(str(directory.root))


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
