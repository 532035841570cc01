"""Retention: which files of a run nobody needs any more, and freeing them.

A run is read by its report, its lineage, exports of champions of now and of before, its certificate and whatever goes
on with it. Free is only what none of these reads: checkpoints before the last, where that one and the tables up to it
are whole; genomes that no row of the archive names; what an interrupted write left behind; and, where asked for, the
report itself, which can be made again. None of these files needs another, so being stopped half way loses nothing.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

from arena.schemas import TABLES
from experiments.runs.checkpoint import checkpoints
from experiments.runs.directory import RunDirectory
from experiments.runs.files import TEMPORARY, sync_folder
from experiments.runs.lock import LOCK, is_held, only_one
from experiments.runs.parts import PART
from experiments.runs.recording import check_parts
from experiments.runs.trees import generation_of, see_whole
from markets.errors import UserError

__all__ = ["Holding", "holdings", "prune"]

_PARTIAL = re.compile(re.escape(TEMPORARY) + r"(\d+)-.+", re.DOTALL)
"""Name of a file that is being written, with the process that writes it; see `experiments.runs.files.write_whole`."""

_GENOME = re.compile(r"(\d+)(?:-\d+)?\.safetensors")
"""Name of a champion's file; see `experiments.runs.recording.Recorder`."""


class Holding(NamedTuple):
    """Files of a run that are there for one reason."""

    what: str
    paths: tuple[Path, ...]
    free: bool
    """Whether nobody needs them."""
    why: str
    size: int
    """Bytes."""


def holdings(run: RunDirectory, *, report: bool = False) -> list[Holding]:
    """Every file of a run, by what it is there for; those that may go come first.

    Args:
        run: its directory.
        report: whether `report.html` may go.

    Raises:
        UserError: a process is at work on it, or it is damaged: then nothing may go that might mend it.
    """
    if is_held(run.root):
        raise UserError(f"{run.root}: a process is at work on this run; wait until it ends, or stop it first")
    return _sorted(run, report)


def prune(run: RunDirectory, *, report: bool = False) -> list[Holding]:
    """Free what may go, while nobody else can be at work on the run.

    Args:
        run: its directory.
        report: whether `report.html` goes too.

    Returns:
        What was freed.

    Raises:
        UserError: see `holdings`; or the folder cannot be written.
    """
    with run.writing(), only_one(run.root):
        freed = [each for each in _sorted(run, report) if each.free]
        for path in (path for each in freed for path in each.paths):
            path.unlink()
        for folder in {path.parent for each in freed for path in each.paths}:
            sync_folder(folder)
    return freed


def _sorted(run: RunDirectory, report: bool) -> list[Holding]:
    left = {path for path in run.root.rglob("*") if path.is_file() or path.is_symlink()} - {run.root / LOCK}

    def taken(paths: list[Path]) -> tuple[Path, ...]:
        there = sorted(left & set(paths))
        left.difference_update(there)
        return tuple(there)

    old, last = _checkpoints(run)
    nobodys, champions = _genomes(run)
    page = run.root / "report.html"
    partial = [path for path in left if path.name.startswith(TEMPORARY)]
    leftovers = taken([path for path in partial if _is_left(path)])
    growing = taken(partial)
    made = [
        _holding("leftovers", leftovers, True, "of interrupted writes"),
        _holding("older checkpoints", taken(old), True, "the last one is whole"),
        _holding("nobody's genomes", taken(nobodys), True, "no row of archive.parquet names them"),
    ]
    if report:
        made.append(_holding("report.html", taken([page]), True, "arena report makes it again"))
    parts = [path for path in left if path.parent.parent == run.root and PART.fullmatch(path.name)]
    tables = {run.table(name) for name in TABLES}
    made.append(_holding("being written", growing, False, "their process is still there"))
    kept = (
        ("last checkpoint", last, "to resume, extend and certify"),
        ("champions", champions, "genomes, for reports and bundles"),
        ("tables", [path for path in parts if path.parent in tables], "for reports, lineage and champions"),
        ("lineage.parquet", [run.lineage], "who descends from whom"),
        ("founders", [run.founders, run.origins], "how the run began"),
        ("certificates", sorted(run.root.glob("certificate*.json")), "the holdout is opened once"),
        ("decision rules", sorted(run.root.glob("inference.*")), "for certificates, reports, bundles"),
        ("configuration", [run.config, run.manifest], "and manifest: what the run is"),
        ("report.html", [page], "--report frees it"),
    )
    made += [_holding(what, taken(paths), False, why) for what, paths, why in kept]
    made.append(_holding("all else", tuple(sorted(left)), False, "not for this command to judge"))
    return [holding for holding in made if holding.paths]


def _is_left(path: Path) -> bool:
    """Whether nobody can be writing a file any more; who reads a run and writes a report beside it holds no lock.

    Another process may have got the number of one that is gone: then the file stays until that one has ended too.
    """
    name = _PARTIAL.fullmatch(path.name)
    return name is None or int(name[1]) == os.getpid() or not _lives(int(name[1]))


def _lives(process: int) -> bool:
    """Whether there is a process of that number; where that cannot be asked there is."""
    if os.name == "nt":  # signal 0 is Ctrl-C there
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # somebody else's
        return True
    return True


def _holding(what: str, paths: tuple[Path, ...], free: bool, why: str) -> Holding:
    return Holding(what, paths, free, why, sum(path.lstat().st_size for path in paths))


def _checkpoints(run: RunDirectory) -> tuple[list[Path], list[Path]]:
    """Checkpoints that no way on needs, and the others.

    Raises:
        UserError: the last one, or a table up to it, is not whole: an older one may be what is left to go on from.
    """
    found = checkpoints(run)
    if not found:
        return [], []
    last, generation = found[-1], int(found[-1].stem)
    if see_whole(last).get("generation") != str(generation):
        raise UserError(f"{last}: damaged, its generation does not match its name; arena resume says what is left")
    check_parts(run, generation)
    return found[:-1], [last]


def _genomes(run: RunDirectory) -> tuple[list[Path], list[Path]]:
    """Genomes that no row of the archive names, and those that one does; other files there are not looked at.

    Raises:
        UserError: a genome or a part of the archive is damaged.
    """
    named = set(run.read("archive").select("id", "generation").iter_rows())
    nobodys: list[Path] = []
    champions: list[Path] = []
    for path in sorted(run.genomes.glob("*")):
        name = _GENOME.fullmatch(path.name)
        if name is not None:
            known = (int(name[1]), generation_of(path)) in named
            (champions if known else nobodys).append(path)
    return nobodys, champions
