"""The loop of a run: one generation computes while the last one is written; where folds meet, the next is entered."""

import time
from collections.abc import Callable
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
    ground: Callable[[int], Market],
    processes: Processes,
    directory: RunDirectory,
    state: ArenaState | None,
    *,
    expected: float | None = None,
) -> ArenaState:
    """Evolve to the study's target, or until somebody asks to stop; process 0 alone writes.

    Args:
        study: with its target, and when to write.
        plan: of the study on its markets.
        ground: makes the market of a fold ready.
        processes: of the run.
        directory: open for writing, at this state.
        state: to go on from, or of founders; None draws these.
        expected: seconds a generation is expected to take.

    Raises:
        UserError: a score is not a number, a later fold has no windows, or another process failed.
    """
    target, split = study.settings.evolution.generations, study.settings.split
    done = 0 if state is None else int(state.generation)
    # A state is of the fold of its last generation; a checkpoint where folds meet has that fold's archive still.
    market = ground(split.fold_of(max(done - 1, 0)))
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
        last, fold = time.monotonic(), market.fold

        def keep(record: GenerationRecord, played: Market, compiled: float) -> None:
            nonlocal last, fold
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
                "compile_seconds": compiled,
                "agent_bars_per_second": arena.agent_bars / seconds,
            }
            if played.fold != fold:
                fold = played.fold
                say(_entered(played, split.folds))
            if recorder:
                recorder.enter(played.time, played.fold)
                shown.show(recorder.add(fetched, timing))

        def write(record: GenerationRecord, played: Market, compiled: float, after: ArenaState | None) -> None:
            keep(record, played, compiled)
            if recorder and after is not None:
                recorder.flush()
                save_checkpoint(directory, after, study.record.keep)

        waiting: tuple[GenerationRecord, Market, float, ArenaState | None] | None = None
        for number in range(first, target):
            entering = split.fold_of(number) != market.fold
            if entering:
                with processes.together():
                    market = ground(split.fold_of(number))
                with processes.spanning():
                    arena.enter(market)
            with processes.spanning():
                record = arena.step()
            compiled = arena.compile_seconds if entering or number == first else 0.0
            with processes.together():
                if waiting is not None:
                    write(*waiting)
            stopping = processes.any(stop.is_set())
            due = (number + 1) % study.record.checkpoint == 0 or number + 1 == target or stopping
            # The next step takes the state's memory, so what is to be kept of it is copied before.
            with processes.spanning():
                after = jax.tree.map(np.array, on_host(arena.state)) if due else None
            waiting = record, market, compiled, after
            if stopping:
                break
        with processes.together():
            if waiting is not None:
                write(*waiting)
    return arena.state


def _entered(market: Market, folds: int) -> str:
    """What begins where folds meet."""
    trained = [own.rows.train for own in market.segments if own.rows.train]
    begin = min(market.time[rows.start] for rows in trained)
    end = max(market.time[rows.stop - 1] for rows in trained)
    first, last = (np.datetime_as_string(stamp, "D") for stamp in (begin, end))
    return f"fold {market.fold} (0 to {folds - 1}), trained on {first} to {last}"
