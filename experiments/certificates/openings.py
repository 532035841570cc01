"""The log of openings: every time anybody looks at a holdout, a line of it is on disk before the first bar is read.

One file beside the runs, `holdout.jsonl`, which all of them share and which only grows. Whoever looks at bars that have
been looked at before is judged more strictly: the first at α, the k-th that overlaps earlier ones at 6α/(π²k²), so that
all of them together, however many there will be, come to less than 1.4 α. The same family on the same bars is one
opening, however often it is asked for or interrupted.

This guards against accident, not against fraud: whoever deletes the log, or gives the bars another name, starts over.
"""

import contextlib
import dataclasses
import errno
import hashlib
import importlib
import importlib.util
import json
import math
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from experiments.runs.files import sync_folder
from markets.errors import UserError

__all__ = ["LOG", "Opening", "level_of", "overlaps", "read_openings", "register"]

LOG = "holdout.jsonl"
"""Name of the log in the folder of runs."""

_PIECE = 1 << 20  # bytes read at once

_PATIENCE, _PAUSE = 60.0, 0.05  # seconds; whoever writes a line holds the lock for an instant

_fcntl: ModuleType | None = importlib.import_module("fcntl") if importlib.util.find_spec("fcntl") else None

_PADDING = re.compile(r"(?<=\D)0+(?=\d+$)")

_BINARY: int = getattr(os, "O_BINARY", 0)  # systems that would write line ends of their own

_HELD = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}


@dataclasses.dataclass(frozen=True)
class Opening:
    """One line of the log.

    Attributes:
        time: when, UTC, ISO 8601.
        run_id: of the run whose champions are judged.
        replicate: which of its populations, from 1.
        data_hash: of the bars of that population.
        made_up: whether a seed made the bars.
        spans: first and last stamp of the holdout's rows, by symbol, UTC, ISO 8601.
        champions: hash of each member's genome, by member.
        rules: hash of how the members act beside their genomes.
        opening: k, counted over the openings that overlap this one, itself included.
        level: at which it is judged.
        recipe: hash of what makes the bars, where a seed does, however many of them there are; else empty.
    """

    time: str
    run_id: str
    replicate: int
    data_hash: str
    made_up: bool
    spans: Mapping[str, tuple[str, str]]
    champions: Mapping[str, str]
    rules: str
    opening: int = 0
    level: float = 0.0
    recipe: str = ""

    @property
    def key(self) -> str:
        """SHA-256 of whom and what it is about, whenever that was asked."""
        known = dataclasses.asdict(self)
        same = {name: known[name] for name in ("run_id", "replicate", "data_hash", "spans", "champions", "rules")}
        return hashlib.sha256(json.dumps(same, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def level_of(opening: int, alpha: float) -> float:
    """The level of the k-th opening of the same bars: α for the first, then 6α/(π²k²)."""
    return alpha if opening <= 1 else 6.0 * alpha / (math.pi**2 * opening**2)


def overlaps(first: Opening, second: Opening) -> bool:
    """Whether two openings looked at the same bars: a symbol in common, at times in common.

    Bars that a seed made have the same names and times whatever the seed: those are the same only if what makes them
    is, however many of them were taken, or if their hash is.
    """
    made_up = first.made_up or second.made_up
    if made_up and first.data_hash != second.data_hash and not (first.recipe and first.recipe == second.recipe):
        return False
    ours, theirs = (_by_name(own.spans, made_up) for own in (first, second))
    return any(
        ours[symbol][0] <= theirs[symbol][1] and theirs[symbol][0] <= ours[symbol][1]
        for symbol in ours.keys() & theirs.keys()
    )


def _by_name(spans: Mapping[str, tuple[str, str]], made_up: bool) -> Mapping[str, tuple[str, str]]:
    """Spans by symbol; those of made-up ones are numbered with as many digits as the last needs, which says nothing."""
    return {_PADDING.sub("", symbol): span for symbol, span in spans.items()} if made_up else spans


def read_openings(folder: Path) -> list[Opening]:
    """The openings on record, oldest first; none where there is no log. A last line that was cut short is no opening:
    the holdout is read only after its line is whole.

    Args:
        folder: of runs.

    Raises:
        UserError: a line is damaged.
    """
    path = folder / LOG
    try:
        return _parsed(path, path.read_bytes())
    except FileNotFoundError:
        return []


def register(folder: Path, wanted: Opening, alpha: float, *, strictest: float = 0.0) -> tuple[Opening, list[Opening]]:
    """Put an opening on record, durably, unless it is there already.

    Args:
        folder: of runs.
        wanted: without its number and level.
        alpha: level of a first opening.
        strictest: level below which nothing can be told.

    Returns:
        The opening as it is on record, with its number and level, and the earlier ones that it overlaps.

    Raises:
        UserError: a line is damaged, the log is held by another process for a minute, or the bars have been looked at
            too often to be judged once more; then no line is written.
        OSError: the log cannot be written; then nothing may be read.
    """
    path = folder / LOG
    with _held(path) as handle:
        raw = _all_of(handle)
        known = _parsed(path, raw)
        for place, own in enumerate(known):
            if own.key == wanted.key:
                return own, [each for each in known[:place] if overlaps(each, own)]
        earlier = [each for each in known if overlaps(each, wanted)]
        opening = 1 + len(earlier)
        level = level_of(opening, alpha)
        if level < strictest:
            raise UserError(
                f"{path}: these bars have been looked at {len(earlier)} times, and so strict a level as comes next "
                f"({100 * level:.2g} %) cannot be told from none; judge on bars that nobody has looked at"
            )
        made = dataclasses.replace(wanted, opening=opening, level=level)
        _append(handle, raw, made)
        sync_folder(folder)
    return made, earlier


def _append(handle: int, raw: bytes, opening: Opening) -> None:
    """Write a line in one piece and bring it to disk; a torn one before it goes."""
    tail = raw[raw.rfind(b"\n") + 1 :]
    torn = bool(tail) and not _whole(tail)
    end = len(raw) - len(tail) if torn else len(raw)
    if torn:
        os.ftruncate(handle, end)
    line = json.dumps(dataclasses.asdict(opening), ensure_ascii=False) + "\n"
    content = (b"" if torn or not tail else b"\n") + line.encode()
    os.lseek(handle, end, os.SEEK_SET)
    while content:
        content = content[os.write(handle, content) :]
    os.fsync(handle)


def _parsed(path: Path, raw: bytes) -> list[Opening]:
    *lines, tail = raw.split(b"\n")
    if tail and _whole(tail):
        lines.append(tail)
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(_opening(json.loads(line)))
            except (ValueError, TypeError, KeyError, AttributeError):
                raise UserError(
                    f"{path}: line {number} is damaged; bring it back, since without it nobody knows how often these "
                    "bars have been looked at"
                ) from None
    return found


def _opening(values: Any) -> Opening:
    kinds = {"time": str, "run_id": str, "replicate": int, "data_hash": str, "made_up": bool, "rules": str}
    kinds |= {"opening": int, "level": float, "spans": dict, "champions": dict}
    own = {"recipe": "", **values}
    kinds["recipe"] = str
    own = {name: own[name] for name in kinds}
    if not all(isinstance(own[name], kind) for name, kind in kinds.items()):
        raise ValueError
    spans = {str(symbol): _span(span) for symbol, span in own.pop("spans").items()}
    return Opening(**own, spans=spans)


def _span(span: Sequence[str]) -> tuple[str, str]:
    first, last = span
    if not (isinstance(first, str) and isinstance(last, str)):
        raise ValueError
    return first, last


def _whole(line: bytes) -> bool:
    """Whether a line without its end says all it should; one that a person edited may."""
    try:
        _opening(json.loads(line))
    except (ValueError, TypeError, KeyError, AttributeError):
        return False
    return True


def _all_of(handle: int) -> bytes:
    os.lseek(handle, 0, os.SEEK_SET)
    pieces = []
    while piece := os.read(handle, _PIECE):
        pieces.append(piece)
    return b"".join(pieces)


@contextlib.contextmanager
def _held(path: Path) -> Iterator[int]:
    """The log, open and locked against others; the system drops the lock however this process ends."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | _BINARY, 0o666)
    try:
        until = time.monotonic() + _PATIENCE
        while not _locked(handle):
            if time.monotonic() > until:
                raise UserError(f"{path}: another process holds it; wait until it ends, or stop it first")
            time.sleep(_PAUSE)
        yield handle
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    """Lock the open file; where the system or the disk knows no locks it counts as done."""
    if _fcntl is None:
        return True
    try:
        _fcntl.flock(handle, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _HELD
    return True
