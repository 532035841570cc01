"""Sweeps: jobs of one command that differ in a few overrides, one after another in one process.

A job that fails names itself and the others go on; a table at the end says how each ended. Whether a job is there
already, to be shown or gone on with, is the job's own affair; a second start of the same sweep therefore does only
what is missing.
"""

import contextlib
import dataclasses
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from experiments.exits import FAULT, INTERRUPTED, MISTAKE
from experiments.mistakes import MistakesError, lines_of
from markets.errors import UserError

__all__ = ["Outcome", "Runner", "Session", "check_jobs", "sweep"]


@dataclasses.dataclass
class Outcome:
    """How a job ended; the job fills it in while it runs, so that one that fails still names its directory.

    Attributes:
        brief: the job is one of a sweep, so what was finished before takes one line.
        root: its directory.
        end: how it ended, in a word or a few.
        why: what it failed of.
    """

    brief: bool = False
    root: Path | None = None
    end: str = "not started"
    why: str = ""


Runner = Callable[[list[str], Outcome], int]
"""Runs one configuration, given as overrides, and returns its exit code."""

Session = Callable[[], contextlib.AbstractContextManager[Callable[[], None]]]
"""What lasts as long as a sweep; the function it yields releases what a finished job held."""


@contextlib.contextmanager
def _nothing() -> Iterator[Callable[[], None]]:
    yield lambda: None


def check_jobs(
    jobs: Sequence[list[str]], compose: Callable[[list[str]], dict[str, Any]], *, fixed: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """The configurations of all jobs, or every mistake in them.

    Args:
        jobs: overrides of each, alike in number and order.
        compose: composes and checks one configuration; raises `UserError` with the first mistake.
        fixed: top-level keys that must be the same for all.

    Raises:
        UserError: one line for each mistake, named by the overrides that all jobs with it share.
    """
    configs, found = [], dict[str, list[list[str]]]()
    for job in jobs:
        try:
            configs.append(compose(job))
        except UserError as error:
            for line in _all_mistakes(job, error, compose) if len(jobs) > 1 else [str(error)]:
                found.setdefault(line, []).append(job)
    if found:
        named = ((_shared(jobs, guilty), line) for line, guilty in found.items())
        raise MistakesError(f"{name}: {line}" if name else line for name, line in named)
    for key in fixed:
        if any(config.get(key) != configs[0].get(key) for config in configs):
            raise UserError(
                f"{key}: differs from job to job, and cannot vary inside one process; start one command each"
            )
    return configs


def _all_mistakes(job: list[str], error: UserError, compose: Callable[[list[str]], object]) -> Iterator[str]:
    """A job's mistakes: the first, then those of other overrides that show once the ones before are left out."""
    left, line = job, str(error)
    while True:
        yield line
        key = _named(line)
        rest = [each for each in left if _named(each) != key]
        if len(rest) == len(left):
            return
        left = rest
        try:
            compose(left)
            return
        except UserError as another:
            line = str(another)
        # What is wrong only because of what stands in the place of an override that was left out is nobody's mistake.
        if _named(line) not in map(_named, left) or "unknown key" in line:
            return


def _named(line: str) -> str:
    """The key that an override sets, or that a message begins with."""
    return re.split(r"[:=\[]", line.lstrip("+~"), maxsplit=1)[0].strip()


def _varying(jobs: Sequence[list[str]]) -> list[int]:
    """Places of the overrides that are not the same in all jobs."""
    return [place for place, values in enumerate(zip(*jobs, strict=True)) if len(set(values)) > 1]


def _shared(jobs: Sequence[list[str]], some: Sequence[list[str]]) -> str:
    """The varying overrides that some of the jobs share."""
    return " ".join(some[0][place] for place in _varying(jobs) if len({job[place] for job in some}) == 1)


def sweep(
    jobs: Sequence[list[str]],
    job: Runner,
    *,
    same: Sequence[int | None] = (),
    again: str = "",
    session: Session = _nothing,
) -> int:
    """Run jobs one after another, each under a heading that says what differs, and tell at the end how each ended.

    Args:
        jobs: overrides of each, alike in number and order.
        job: runs one.
        same: for each job the earlier one it equals, which it is not run for again; None where there is none.
        again: the command that goes on with an interrupted sweep; empty where none does.
        session: see `Session`.

    Returns:
        0 where every job ended well, 1 where one failed by a fault of ours, else 2 where one failed, 130 where the
        user interrupted.
    """
    from experiments.terminal import say  # not for help, which is to answer at once

    places = _varying(jobs)
    names = [" ".join(one[place] for place in places) or "nothing varies" for one in jobs]
    outcomes = [Outcome(brief=True) for _ in jobs]
    same = same or [None] * len(jobs)
    code = 0
    with session() as release:
        for index, (one, name, outcome) in enumerate(zip(jobs, names, outcomes, strict=True)):
            earlier = same[index]
            if earlier is not None:
                outcome.end, outcome.root = f"same as job {earlier + 1}", outcomes[earlier].root
                continue
            heading = f"job {index + 1} of {len(jobs)}: {name}"
            say(heading)
            ended = _run(one, job, outcome, heading)
            release()
            if ended == INTERRUPTED:
                code = INTERRUPTED
                break
            # A fault of ours is the graver: whoever sees 2 looks for a mistake of theirs.
            code = FAULT if FAULT in (code, ended) else max(code, ended)
    for line in _table(names, outcomes):
        say(line)
    if code == INTERRUPTED:
        left = sum(outcome.end == "not started" for outcome in outcomes)
        hint = f"; go on with: {again}" if again else ""
        print(f"arena: interrupted, {left} of {len(jobs)} jobs not started{hint}", file=sys.stderr)
    return code


def _run(one: list[str], job: Runner, outcome: Outcome, heading: str) -> int:
    """Run one job, whatever becomes of it, and say on standard error why it failed."""
    try:
        code = job(one, outcome)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        # Only words of the error are kept: it holds on to the frames of the job, and so to its arrays.
        lines = lines_of(error)
        if lines is None:
            traceback.print_exc()
        outcome.end = "failed"
        outcome.why = "; ".join(lines) if lines else f"{type(error).__name__}: {' '.join(str(error).split())}"
        where = f" ({outcome.root})" if outcome.root is not None and outcome.root.exists() else ""
        ours = "" if lines else "; a fault of this program, its traceback stands above"
        print(f"arena: {heading}{where}: {outcome.why}{ours}", file=sys.stderr, flush=True)
        return MISTAKE if lines else FAULT
    if code == INTERRUPTED:
        outcome.end = "interrupted"
    return code


def _table(names: Sequence[str], outcomes: Sequence[Outcome]) -> Iterator[str]:
    """One line a job: how it ended, its run, its overrides, and why it failed."""
    runs = [outcome.root.name if outcome.root is not None else "–" for outcome in outcomes]
    cells = [
        (str(number), outcome.end, run) for number, (outcome, run) in enumerate(zip(outcomes, runs, strict=True), 1)
    ]
    widths = [max(map(len, column)) for column in zip(("job", "end", "run"), *cells, strict=True)]
    yield ""
    yield f"sweep of {len(names)} jobs"
    for row, last in zip(
        (("job", "end", "run"), *cells),
        ("overrides", *(f"{name}{f': {o.why}' if o.why else ''}" for name, o in zip(names, outcomes, strict=True))),
        strict=True,
    ):
        yield f"  {row[0]:>{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:<{widths[2]}}  {last}"
