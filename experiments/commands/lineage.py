"""`arena lineage SOURCE`: who descends from whom, in a run or a file of the ALife data standard, shown or handed on."""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from arena.schemas import REGIME_NAMES
from markets.errors import UserError

if TYPE_CHECKING:
    import polars as pl

    from experiments.lineage.filters import Filters
    from experiments.lineage.tree import Tree
    from experiments.runs.directory import RunDirectory

__all__ = ["add_arguments", "run"]

_FORMATS = ("alife", "newick", "graphml", "parquet")
_EVERY = "every regime"
_OF_RUNS = ("champions", "replicate")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena lineage`."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a run's folder, its id below the folder of runs, or a CSV file of the ALife data standard",
    )
    parser.add_argument("--format", choices=_FORMATS, help="write it as this instead of showing it")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the file to write")
    whom = parser.add_argument_group("whom", "Those whom all of these mean, with their ancestors.")
    whom.add_argument(
        "--champions",
        nargs="?",
        const=_EVERY,
        type=_regime,
        metavar="REGIME",
        help=f"of a run: its champions, or that of one regime: {', '.join(REGIME_NAMES)}",
    )
    whom.add_argument("--extant", action="store_true", help="the living")
    whom.add_argument("--generations", metavar="A-B", help="those born in these generations, such as 10-20, 10- or 10")
    whom.add_argument("--species", metavar="NAME", help="those of one species")
    whom.add_argument("--id", type=int, metavar="ID", help="one agent")
    whom.add_argument("--replicate", type=int, metavar="N", help="of a run with several: those of one, from 1")
    parser.add_argument(
        "--parents",
        choices=("first", "both"),
        help="whose ancestors are kept and written: along first parents, or over both (default: both for graphml)",
    )
    parser.add_argument(
        "--own",
        action="store_true",
        help="of a run that bundles founded: write this run's agents alone, without their ancestors in earlier runs",
    )
    parser.add_argument("--notes", action="store_true", help="of newick: what is known of agents, as comments")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--runs-dir", default="runs", metavar="DIR", help="the folder of runs (default: runs)")


def _regime(word: str) -> str:
    """A regime's name, or that of none, which means all; a word after --champions is taken for one.

    Raises:
        ArgumentTypeError: it is none.
    """
    if word not in (_EVERY, *REGIME_NAMES):
        known = ", ".join(REGIME_NAMES)
        raise argparse.ArgumentTypeError(f"{word!r} is no regime; put SOURCE before it, or name one of {known}")
    return word


class _Source(NamedTuple):
    """What is looked at: a name, a lineage and its tree in the same order of rows, the run where it is one, and what a
    file left out.
    """

    name: str
    table: "pl.DataFrame"
    tree: "Tree"
    run: "RunDirectory | None"
    notes: Sequence[str] = ()


def run(args: argparse.Namespace) -> int:
    """Show or write the lineage, and return the exit code."""
    _check(args)
    source = _read(args)
    if args.format is not None:
        _write(args, source)
    else:
        _show(args, source)
    return 0


def _check(args: argparse.Namespace) -> None:
    """See that the options go together, before anything is read."""
    if (args.out is None) != (args.format is None):
        given, wanted = ("--format", "--out FILE") if args.out is None else ("--out", f"--format {'|'.join(_FORMATS)}")
        raise UserError(f"{given}: needs {wanted} too")
    if args.parents == "both" and args.format == "newick":
        raise UserError("--parents: a Newick tree has first parents alone; leave it out, or write graphml or alife")
    if args.own and args.format is None:
        raise UserError("--own: is for what is written; add --format and --out")
    if args.notes and args.format != "newick":
        raise UserError("--notes: is for --format newick alone; other formats have columns for it")


def _read(args: argparse.Namespace) -> _Source:
    """The whole lineage."""
    from experiments.lineage.alife import read_alife
    from experiments.lineage.tree import tree_of

    path = Path(args.source)
    notes: list[str] = []
    if path.exists() and not path.is_dir():
        for option in _OF_RUNS:
            if getattr(args, option) is not None:
                raise UserError(f"--{option}: {path} is a file and no run; leave it out")
        _check_out(args, path)
        table = read_alife(path, notes.append)
        return _Source(str(path), table, tree_of(table), None, notes)
    from experiments.runs.directory import find_run
    from experiments.runs.lineage import read_lineage

    try:
        directory = find_run(args.source, args.runs_dir)
    except UserError as error:
        raise UserError(f"{args.source}: no such file and no such run; {str(error).rpartition('; ')[2]}") from None
    _check_out(args, directory.root)
    table = read_lineage(directory)
    if table.is_empty():
        _see_begun(directory)
        raise UserError(f"{directory.root}: nobody is on record yet; try again when a generation is done")
    try:
        tree = tree_of(table)
    except UserError as error:
        raise UserError(directory.lost(directory.table("births"), str(error).removeprefix("lineage: "))) from None
    return _Source(f"run {directory.root.name}", table, tree, directory)


def _see_begun(run: "RunDirectory") -> None:
    """See that a run without births on record has not come far enough to have some.

    Raises:
        UserError: it has; its births are gone.
    """
    try:
        done = run.done(run.read_manifest())
    except UserError:  # the manifest is damaged too
        done = run.done({})
    if done:
        count = f"{done:,} generation{'s' * (done != 1)}"
        raise UserError(run.lost(run.table("births"), f"it is empty, but the run has done {count}"))


def _check_out(args: argparse.Namespace, source: Path) -> None:
    """See that the file may be written, before anything is read."""
    from experiments.lineage.formats import FORMATS, is_of
    from experiments.runs.files import check_out

    out: Path | None = args.out
    if out is None:
        return
    check_out(out)
    if source.is_dir() and out.parent.resolve() in {source.resolve() / name for name in os.listdir(source)}:
        raise UserError(f"{out}: is among what the run wrote; name a file elsewhere")
    if out.exists() and source.is_file() and out.samefile(source):
        raise UserError(f"{out}: is the source itself; name another file")
    if _filtered(args) and source.is_dir() and out.resolve() == (source / "lineage.parquet").resolve():
        raise UserError(f"{out}: holds the whole lineage of the run; name another file")
    form = FORMATS[args.format]
    if out.exists() and not is_of(form, out):
        raise UserError(f"{out}: is there and no {form.title}; name another file, or delete it")


def _filtered(args: argparse.Namespace) -> bool:
    """Whether anybody may be left out."""
    given = (args.champions, args.generations, args.species, args.id, args.replicate)
    return args.extant or any(value is not None for value in given)


def _filters(args: argparse.Namespace, source: _Source) -> "Filters":
    """Whom the options mean."""
    from experiments.lineage.filters import Filters, parse_generations
    from experiments.lineage.graph import row_of

    ids, islands = None, None
    if args.replicate is not None and source.run is not None:
        islands = _islands(args.replicate, source.run)
    if args.champions is not None and source.run is not None:
        ids = _champions(args, source.run)
    if args.id is not None:
        row_of(source.tree, args.id)
        ids = {args.id} if ids is None else ids & {args.id}
    generations = None if args.generations is None else parse_generations(args.generations)
    return Filters(ids=ids, extant=args.extant, generations=generations, species=args.species, islands=islands)


def _islands(replicate: int, run: "RunDirectory") -> tuple[int, int]:
    """The islands of a replicate."""
    from experiments.runs.champions import replicates

    count, islands = replicates(run)
    if not 1 <= replicate <= count:
        right = "1" if count == 1 else f"1 to {count}"
        raise UserError(f"--replicate: {replicate} of a run that has {count}; right is {right}")
    return (replicate - 1) * islands, replicate * islands


def _champions(args: argparse.Namespace, run: "RunDirectory") -> set[int]:
    """Ids of the champions of now that are asked for."""
    from experiments.runs.champions import best_scores

    scores = best_scores(run)
    wanted = REGIME_NAMES if args.champions == _EVERY else (args.champions,)
    found = {own for (regime, _), (_, own) in scores.items() if regime in wanted}
    if not found:
        there = ", ".join(dict.fromkeys(regime for regime, _ in scores)) or "none"
        whose = "" if args.champions == _EVERY else f" {args.champions} has no champion in {run.root}; those that have:"
        raise UserError(f"--champions:{whose or f' {run.root} has no champions;'} {there}".rstrip())
    return found


def _kept(args: argparse.Namespace, source: _Source, *, both: bool) -> _Source:
    """Those who are asked for, with their ancestors."""
    from experiments.lineage.filters import select, with_ancestors
    from experiments.lineage.tree import take

    if not _filtered(args):
        return source
    mask = with_ancestors(source.tree, select(source.tree, source.table, _filters(args, source)), both=both)
    return source._replace(table=source.table.filter(mask), tree=take(source.tree, mask))


def _write(args: argparse.Namespace, source: _Source) -> None:
    """Write the file, whole or not at all."""
    from experiments.lineage.formats import FORMATS
    from experiments.lineage.origins import FIRST
    from experiments.runs.files import write_whole
    from experiments.terminal import say

    out, form = args.out, FORMATS[args.format]
    both = form.both if args.parents is None else args.parents == "both"
    part = _kept(args, source, both=both)
    begins = None
    if source.run is not None and not args.own:
        part, begins = _continued(part, source.run)
    try:
        write_whole(out, lambda path: form.write(part.tree, part.table, path, both, args.notes))
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror or error})") from None
    if args.json:
        print(
            json.dumps(
                {
                    "file": str(out),
                    "notes": list(source.notes),
                    "format": args.format,
                    "agents": len(part.tree),
                    "of": len(source.tree),
                    **({} if begins is None else {"earlier": int((part.tree.id >= FIRST).sum()), "begins": begins}),
                }
            )
        )
        return
    earlier = int((part.tree.id >= FIRST).sum())
    count = len(part.tree) - earlier
    of = f" of {len(source.tree):,}" if count < len(source.tree) else ""
    say(f"{out}: {form.title}, {count:,}{of} agents of {source.name}")
    if begins is not None:
        say(f"and {earlier:,} before them, in earlier runs; generation 0 of this run stands at time {begins:,}")
    for note in source.notes:
        say(note)


def _continued(source: _Source, run: "RunDirectory") -> tuple[_Source, int | None]:
    """The lineage gone on with into earlier runs, and when this one begins in it; None where none founded it."""
    from experiments.lineage.origins import continued
    from experiments.lineage.tree import tree_of
    from experiments.runs.origins import read_origins

    origins = read_origins(run)
    if origins.is_empty():
        return source, None
    table, begins = continued(source.table, origins)
    return source._replace(table=table, tree=tree_of(table)), begins or None


def _show(args: argparse.Namespace, source: _Source) -> None:
    """Keep a run's lineage beside it, and say what there is to say of those asked for."""
    from experiments.commands.lineage_summary import gather, show
    from experiments.runs.files import write_table
    from experiments.terminal import say

    part = _kept(args, source, both=args.parents == "both")
    if source.run is not None:
        with source.run.writing():
            write_table(source.run.lineage, source.table, scratch=source.run.root)
    some = args.champions is not None or args.generations is not None or args.id is not None or args.extant
    notes = list(source.notes)
    said = gather(part.tree, part.table, source.run, notes.append, whole=not some)
    kept = None if source.run is None else str(source.run.lineage)
    if args.json:
        about = {"source": source.name, "notes": notes, "of": len(source.tree)}
        print(json.dumps({**about, **said, "lineage": kept}, ensure_ascii=False, allow_nan=False))
        return
    of = f", {len(part.tree):,} of {len(source.tree):,} agents: those asked for and their ancestors" * _filtered(args)
    show(said, f"{source.name}{of}", notes)
    if kept is not None:
        say(kept)
