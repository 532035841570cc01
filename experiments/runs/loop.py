"""The loop of a run: one generation computes while the last one is written."""

import time
from functools import partial

import jax
import numpy as np

from arena.api import Arena
from arena.plan import Plan
from arena.records import GenerationRecord
from arena.sharding import on_host
from arena.state import ArenaState
from experiments.configuration.study import Study
from experiments.hardware.processes import Processes
from experiments.runs.checkpoint import save_checkpoint
from experiments.runs.directory import RunDirectory
from experiments.runs.interruption import interruptible
from experiments.runs.recording import Recorder
from experiments.terminal import Progression, say
from markets.errors import UserError
from markets.preparation import Market

__all__ = ["evolve"]


def evolve(
    study: Study,
    plan: Plan,
    market: Market,
    processes: Processes,
    directory: RunDirectory,
    state: ArenaState | None,
    *,
    expected: float | None = None,
) -> ArenaState:
    """Evolve to the study's target, or until somebody asks to stop; process 0 alone writes.

    Args:
        study: with its target, and when to write.
        plan: of the study on this market.
        market: made ready.
        processes: of the run.
        directory: open for writing, at this state.
        state: to go on from, or of founders; None draws these.
        expected: seconds a generation is expected to take.

    Raises:
        UserError: a score is not a number, or another process failed.
    """
    target = study.settings.evolution.generations
    arena = Arena(study.settings, market, state)
    recorder = None
    if processes.first:
        least = study.settings.fitness.bars
        recorder = Recorder(directory, study.record, plan.names, market.time, least)
    born = [] if int(arena.state.generation) else arena.founders(arena.state)
    if recorder:
        recorder.founders(born)
    first = int(arena.state.generation)
    if first >= target:
        return arena.state
    say("compiling one generation, once …")
    say(f"compiled in {arena.compile():.1f} s")
    asked = partial(say, "stopping after this generation; once more to stop at once")
    with (
        Progression(first, target, shown=study.terminal.progress and processes.first, expected=expected) as shown,
        interruptible(asked) as stop,
    ):
        last = time.monotonic()

        def keep(record: GenerationRecord) -> None:
            nonlocal last
            with processes.spanning():
                fetched: GenerationRecord = jax.device_get(record)
            now = time.monotonic()
            seconds, last = now - last, now
            number = int(fetched.generation)
            if not fetched.finite:
                raise UserError(
                    f"generation {number}: a score is not a number; the run stopped at its last checkpoint. "
                    "Bars with extreme prices are the likely cause"
                )
            timing = {
                "seconds": seconds,
                "compile_seconds": arena.compile_seconds if number == first else 0.0,
                "agent_bars_per_second": arena.agent_bars / seconds,
            }
            if recorder:
                shown.show(recorder.add(fetched, timing))

        def write(record: GenerationRecord, after: ArenaState | None) -> None:
            keep(record)
            if recorder and after is not None:
                recorder.flush()
                save_checkpoint(directory, after, study.record.keep)

        waiting: tuple[GenerationRecord, ArenaState | None] | None = None
        for number in range(first, target):
            with processes.spanning():
                record = arena.step()
            with processes.together():
                if waiting is not None:
                    write(*waiting)
            stopping = processes.any(stop.is_set())
            due = (number + 1) % study.record.checkpoint == 0 or number + 1 == target or stopping
            # The next step takes the state's memory, so what is to be kept of it is copied before.
            with processes.spanning():
                waiting = record, jax.tree.map(np.array, on_host(arena.state)) if due else None
            if stopping:
                break
        with processes.together():
            if waiting is not None:
                write(*waiting)
    return arena.state
