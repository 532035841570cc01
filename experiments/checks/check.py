"""Whether anything of a run looks ahead: every check, on every market and fold that the run has."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl

from arena.plan import Plan, make_plan
from arena.rollout import Trader
from experiments.champions.champions import feature_names
from experiments.champions.world import alone
from experiments.checks.decisions import Begun, Crowd, check_decisions, check_warm_up
from experiments.checks.parts import check_labels, check_split
from experiments.checks.pieces import check_features, check_regimes, check_scaler
from experiments.checks.subject import Subject, subject_of
from experiments.checks.tapes import check_tape, market_until
from experiments.checks.works import Checked, Works
from experiments.configuration.study import Study, load_supplies
from experiments.founders.libraries import LIBRARIES
from experiments.inference.files import choices_path
from experiments.inference.rules import LOOKBACKS
from experiments.runs.champions import placed, replicates
from experiments.runs.directory import RunDirectory
from experiments.runs.genomes import champion_file, trader_form
from experiments.runs.identity import data_hash
from experiments.runs.trees import load_tree, metadata_of
from markets.errors import UserError

__all__ = ["Report", "check_run", "check_subject"]

_MOST = 64
"""Champions of a market and fold that are followed, the latest first."""


@dataclasses.dataclass(frozen=True)
class Report:
    """What was found on one market, in one fold.

    Attributes:
        subject: what was looked at.
        stamps: where bars were cut.
        checks: in order.
        warm_up: bars that a first decision needs.
        begun: what changes with the length of the history.
    """

    subject: Subject
    stamps: tuple[np.datetime64, ...]
    checks: tuple[Checked, ...]
    warm_up: int
    begun: tuple[Begun, ...]


def check_run(
    directory: RunDirectory,
    *,
    cuts: int = 4,
    seed: int = 0,
    replicate: int | None = None,
    works: Works | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[Report]:
    """Check a run.

    Args:
        directory: of the run.
        cuts: stamps to cut at.
        seed: of the cuts, and of the bars that are made up.
        replicate: whose market, 1 is the first; all by default.
        works: what is checked.
        tell: called with what begins now, in words.

    Yields:
        What was found on each of its markets, in each fold.

    Raises:
        UserError: no such replicate, a run whose bars are gone or have changed, or damage.
    """
    works = works or Works()
    tell("reading the run")
    study = _study(directory)
    count, _ = replicates(directory)
    if replicate is not None and not 1 <= replicate <= count:
        raise UserError(f"--replicate: {replicate} of a run that has {count}; right is 1 to {count}")
    try:
        bars = [own.bars for own in load_supplies(study)]
    except UserError as error:
        raise UserError(f"{directory.root}: the bars that it traded cannot be used: {error}") from None
    known = directory.read_manifest().get("data_hash")
    if known is not None and known != data_hash([each for own in bars for each in own]):
        raise UserError(f"{directory.root}: its bars have changed since; bring back those that it traded")
    copies = len(bars)
    plan = make_plan(study.settings, len(feature_names(directory)))
    rows = _rows(directory)
    tried = choices_path(directory).exists()
    lookbacks = [bars for bars in LOOKBACKS if bars is not None] if tried else []
    wanted = range(copies) if replicate is None or copies == 1 else (replicate - 1,)
    for copy in wanted:
        whose = None if copies == 1 and replicate is None else (copy if replicate is None else replicate - 1)
        for fold in range(study.settings.split.folds):
            tell(f"making {_named(copies, copy, study, fold)} ready")
            subject = subject_of(study, bars[copy], works, replicate=copy, fold=fold)
            mine = rows.filter(pl.col("fold") == fold)
            mine = mine if whose is None else mine.filter(pl.col("replicate") == whose)
            crowds = _crowds(directory, study, plan, mine)
            horizons = study.training.horizons if study.founders in LIBRARIES and not fold else ()
            yield check_subject(subject, works, crowds, horizons, lookbacks, cuts=cuts, seed=seed, tell=tell)


def check_subject(
    subject: Subject,
    works: Works,
    crowds: Sequence[Crowd],
    horizons: Sequence[int] = (),
    lookbacks: Sequence[int] = (),
    *,
    cuts: int = 4,
    seed: int = 0,
    tell: Callable[[str], None] = lambda _: None,
) -> Report:
    """Check one market, and the champions that were bred on it.

    Args:
        subject: the market.
        works: what is checked.
        crowds: champions.
        horizons: of the labels that its founders were trained with; none where they were not.
        lookbacks: of features, that decision rules of its champions were tried with.
        cuts: stamps to cut at.
        seed: of the cuts, and of the bars that are made up.
        tell: called with what begins now, in words.
    """
    stamps = subject.drawn(cuts, seed)
    tell("working out features, regimes, scaler, split and labels on bars cut short")
    made = [
        check_features(subject, works, stamps, lookbacks),
        check_regimes(subject, works, stamps),
        check_scaler(subject, works, seed),
        check_split(subject, works, stamps),
        check_labels(subject, works, sorted(set(horizons)), seed),
    ]
    tell("making the tape of bars with another future")
    markets = [market_until(subject, works, stamp, seed) for stamp in stamps]
    made.append(check_tape(subject, works, stamps, markets, seed))
    tell("following champions up to the cuts")
    made.append(check_decisions(subject, works, crowds, stamps, markets))
    tell("letting champions begin after histories of different lengths")
    begun, warm = check_warm_up(subject, works, crowds, seed)
    return Report(subject, tuple(stamps), (*made, warm), subject.warm_up, tuple(begun))


def _study(directory: RunDirectory) -> Study:
    try:
        return alone(directory.read_config())
    except UserError as error:
        named = str(error).startswith(str(directory.config))
        raise UserError(str(error) if named else f"{directory.config}: {error}") from None


def _named(copies: int, copy: int, study: Study, fold: int) -> str:
    folds = f", fold {fold + 1}" if study.settings.split.folds > 1 else ""
    return f"the market of replicate {copy + 1}{folds}" if copies > 1 else f"the market{folds}"


def _rows(directory: RunDirectory) -> pl.DataFrame:
    """Who was a champion, and of which generation: `id`, `generation`, `fold`, `replicate`, the latest first."""
    count, islands = replicates(directory)
    births = directory.read("births") if count > 1 else None
    rows = placed(directory.read("archive"), births, islands).select("id", "generation", "fold", "replicate")
    return rows.unique(maintain_order=True).reverse()


def _crowds(directory: RunDirectory, study: Study, plan: Plan, rows: pl.DataFrame) -> list[Crowd]:
    """The champions of these rows by species, as they acted."""
    often = dict(rows.group_by("id").len().iter_rows())
    memory = study.settings.scars.memory
    forms = {name: trader_form(own.species, memory) for name, own in zip(plan.names, plan.rollouts, strict=True)}
    found: dict[str, list[tuple[str, Trader]]] = {}
    for identity, generation in rows.select("id", "generation").head(_MOST).iter_rows():
        path = champion_file(directory, identity, generation)
        species = metadata_of(path).get("species", "of no species")
        if species not in forms:
            raise UserError(f"{path}: is of {species}, which {directory.config} does not have; bring both back")
        name = f"{identity} of generation {generation}" if often[identity] > 1 else f"{identity}"
        found.setdefault(species, []).append((name, load_tree(path, forms[species])[0]))
    made = []
    for species, champions in found.items():
        stacked: Trader = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(trader for _, trader in champions))
        made.append(Crowd(plan.rollouts[plan.names.index(species)], tuple(name for name, _ in champions), stacked))
    return made
