"""Founders from bundles: champions of earlier runs, whose brains are bred on in this one.

A bundle holds a brain with the scaling it was bred on, its genes, and its ancestors. The brain is made to answer here
as it did there (`experiments.founders.scales`); its genes come along, held to the ranges of this run. Its trust and its
memory of scars stay behind: both are of other data, and moments are remembered in the old scale.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from agents.live.bundle import read_bundle
from arena.plan import Plan
from arena.settings import Settings
from experiments.founders.fitting import fitted_species, see_features
from experiments.founders.scales import Change, change, grown, rescaled_forest, rescaled_network
from experiments.founders.seen import Seen, seen_by
from experiments.lineage.origins import Ancestor, ancestors_in
from genomes.forest import Forest, ForestSpecies
from genomes.genes import Genes, GeneSettings
from genomes.qnetwork import Network, QNetwork
from genomes.registry import make_species, settings_class
from genomes.species import DEFAULT_ACTIONS, Genome, Shape, Species, genome_form
from markets.errors import UserError
from markets.features import FeatureSettings
from markets.preparation import Market
from markets.scaling import Scaler
from markets.settings import build

__all__ = ["Bundle", "BundleSettings", "Founding", "found_from", "hashes", "open_bundles", "suited"]

_WHERE = "bundle.path"


@dataclasses.dataclass(frozen=True)
class BundleSettings:
    """Which bundles found a run (`bundle`).

    Attributes:
        path: a folder that `arena export` wrote, or a list of them.
    """

    path: str | tuple[str, ...] | None = None

    def problems(self, where: str) -> Iterator[str]:
        """What is missing, one line each."""
        if self.path == ():
            yield f"{where}.path: expected at least one folder that arena export wrote"


@dataclasses.dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle as it was read and found whole.

    Attributes:
        path: as the user named it.
        manifest: what it says of itself.
        leaves: arrays of the champion, by dotted name.
        scaler: the scaling that its brain was bred on.
        line: of the champion, its first ancestor first.
        seen: bars that it and those before it were bred on.
    """

    path: str
    manifest: Mapping[str, Any]
    leaves: Mapping[str, NDArray[Any]]
    scaler: Scaler
    line: Sequence[Ancestor]
    seen: Sequence[Seen]

    @property
    def species(self) -> str:
        """Name of the champion's species."""
        return str(self.manifest["species"]["name"])

    @property
    def hash(self) -> str:
        """SHA-256 of all that it holds."""
        return str(self.manifest["hash"])

    def kind(self) -> Species:
        """The species as it was there."""
        own = self.manifest["species"]
        shape = Shape(len(self.manifest["features"]["list"]), len(self.manifest["account_view"]))
        try:
            return make_species(own["name"], build(settings_class(own["name"]), own["settings"], "settings"), shape)
        except (KeyError, UserError) as error:
            raise UserError(f"{_WHERE}: {self.path}: its species is not known here ({error})") from None

    def brain(self, species: Species) -> Genome:
        """The genome, of that species.

        Raises:
            UserError: leaves that are not those of the species.
        """
        paths, form = jax.tree_util.tree_flatten_with_path(genome_form(species))
        leaves = []
        for path, like in paths:
            name = f"genome.{jax.tree_util.keystr(path, simple=True, separator='.')}"
            leaf = self.leaves.get(name)
            if leaf is None or leaf.shape != like.shape or leaf.dtype != like.dtype:
                raise UserError(f"{_WHERE}: {self.path}: {name} is not as its manifest says; export it again")
            leaves.append(leaf)
        return jax.tree.unflatten(form, leaves)

    def genes(self) -> Genes:
        """The champion's genes, scalars."""
        own: Any = [self.leaves.get(f"genes.{name}") for name in Genes._fields]
        for name, value in zip(Genes._fields, own, strict=True):
            if value is None or value.shape != () or value.dtype != np.float32:
                raise UserError(f"{_WHERE}: {self.path}: genes.{name} is not one number; export it again")
        return Genes(*own)


@dataclasses.dataclass(frozen=True, eq=False)
class Founding:
    """What bundles give to a run, in the order of its species.

    Attributes:
        brains: leaves [markets, models, …], NumPy; None where brains are drawn.
        genes: leaves [models]; None likewise.
        bundles: of each species, in the order of models.
        notes: what there is to say, a line each.
    """

    brains: tuple[Genome | None, ...]
    genes: tuple[Genes | None, ...]
    bundles: tuple[list[Bundle], ...]
    notes: list[str]


def open_bundles(settings: BundleSettings) -> list[Bundle]:
    """The bundles that a run names, read and found whole.

    Raises:
        UserError: none is named, one is named twice, is no bundle, is damaged, or is of a later version.
    """
    paths = [settings.path] if isinstance(settings.path, str) else list(settings.path or ())
    if not paths or not all(paths):
        raise UserError(f"{_WHERE}: founders from bundles need one; name a folder that arena export wrote, or a list")
    bundles, seen = [], dict[str, str]()
    for path in paths:
        bundle = _open(path)
        if bundle.hash in seen:
            raise UserError(f"{_WHERE}: {path} is the same bundle as {seen[bundle.hash]}; name each once")
        seen[bundle.hash] = path
        bundles.append(bundle)
    return bundles


def hashes(bundles: Sequence[Bundle]) -> str:
    """What bundles are, as part of what a run is."""
    return " ".join(["bundle", *(bundle.hash for bundle in bundles)])


def suited(bundles: Sequence[Bundle], species: Mapping[str, Any], features: FeatureSettings) -> dict[str, Any]:
    """The settings of the species, with the layout that the champions' trees need where nobody asked for one.

    Args:
        bundles: that found the run.
        species: settings of those that take part, by name; None is all defaults.
        features: that the run sees.

    Raises:
        UserError: a champion whose species takes no part, that has no room, or that sees what this run does not; the
            line names what would be right.
    """
    for bundle in bundles:
        if bundle.species not in species:
            names = ",".join([*species, bundle.species])
            raise UserError(
                f"{_WHERE}: {bundle.path} founds {bundle.species}, which takes no part; add species=[{names}]"
            )
        own = bundle.manifest
        asked, known = list(own["actions"]["names"]), list(DEFAULT_ACTIONS.names)
        if asked != known:
            raise UserError(f"{_WHERE}: {bundle.path}: its actions are {', '.join(asked)}; right is {', '.join(known)}")
        see_features(own["features"], features, f"{_WHERE}: {bundle.path}")
    return {
        name: fitted_species(
            name, own, [(b.path, b.manifest["species"]["settings"]) for b in bundles if b.species == name]
        )
        for name, own in species.items()
    }


def found_from(bundles: Sequence[Bundle], settings: Settings, market: Market, plan: Plan) -> Founding:
    """The brains and genes that founders begin with.

    Args:
        bundles: that are suited.
        settings: of the evolution.
        market: of the run, whose scaling brains are brought to.
        plan: of the run.

    Raises:
        UserError: a column of the user's own that this run does not see, or more bundles than there are founders.
    """
    brains: list[Genome | None] = []
    genes: list[Genes | None] = []
    notes = list[str]()
    for name, rollout in zip(plan.names, plan.rollouts, strict=True):
        own = [bundle for bundle in bundles if bundle.species == name]
        if len(own) > plan.slots * plan.islands:
            raise UserError(
                f"{_WHERE}: {len(own)} bundles for {plan.slots * plan.islands} founders of {name}; "
                f"right is evolution.agents={math.ceil(len(own) / plan.islands) * plan.islands} or more"
            )
        for bundle in own:
            missing = [feature for feature in bundle.scaler.names if feature not in market.features]
            if missing:
                raise UserError(
                    f"{_WHERE}: {bundle.path} sees {missing[0]!r}, which this run does not; add it to market.columns"
                )
        changes = [[change(bundle.scaler, here) for bundle in own] for here in market.scalers]
        made = [
            [_bred_here(bundle, rollout.species, by) for bundle, by in zip(own, row, strict=True)] for row in changes
        ]
        kept = [_within(bundle, settings.genes) for bundle in own]
        brains.append(_stacked([_stacked(row) for row in made]) if own else None)
        genes.append(_stacked([one for one, _ in kept]) if own else None)
        for place, bundle in enumerate(own):
            further = [*kept[place][1], *_clipped(market, [row[place] for row in changes])]
            notes += [_said(bundle), *(f"{name} {bundle.line[-1].id}: {line}" for line in further)]
    each = tuple([bundle for bundle in bundles if bundle.species == name] for name in plan.names)
    return Founding(tuple(brains), tuple(genes), each, notes)


def _open(path: str) -> Bundle:
    try:
        read = read_bundle(path)
        line, seen = ancestors_in(read.values), seen_by(read.values)
    except UserError as error:
        message = str(error)
        raise UserError(f"{_WHERE}: {message if message.startswith(path) else f'{path}: {message}'}") from None
    return Bundle(path, read.values, read.tensors, read.manifest.scaler, line, seen)


def _bred_here(bundle: Bundle, species: Species, by: Change) -> Genome:
    """The champion's brain as one of the run's species, on its scale."""
    there = bundle.kind()
    genome = bundle.brain(there)
    if isinstance(species, QNetwork) and isinstance(genome, Network):
        return rescaled_network(genome, by)
    if isinstance(species, ForestSpecies) and isinstance(there, ForestSpecies) and isinstance(genome, Forest):
        moved = rescaled_forest(genome, by)
        inputs = np.arange(by.features + species.shape.account)
        sizes, layouts = species.settings, (there.layout, species.layout)
        return moved._replace(
            market=grown(moved.market, *layouts, sizes.market_trees, inputs[: by.features]),
            state=grown(moved.state, *layouts, sizes.state_trees, inputs[by.features :]),
        )
    raise UserError(f"{_WHERE}: {bundle.path}: a champion of {bundle.species} cannot be bred on")


def _within(bundle: Bundle, settings: GeneSettings) -> tuple[Genes, list[str]]:
    """The champion's genes in the ranges of this run, and a line on each that was beyond."""
    kept: list[Any] = []
    notes = []
    for name, value in zip(Genes._fields, bundle.genes(), strict=True):
        low, high = (np.float32(end) for end in getattr(settings, name))
        kept.append(np.clip(value, low, high))
        if kept[-1] != value:
            notes.append(
                f"its {name} of {value:.4g} lies beyond genes.{name}=[{low:.4g},{high:.4g}]: {kept[-1]:.4g} here"
            )
    return Genes(*kept), notes


def _stacked(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def _said(bundle: Bundle) -> str:
    """Whose champion founds, in a line."""
    champion, line = bundle.manifest["champion"], bundle.line
    runs = len({ancestor.run_id for ancestor in line})
    back = f", back through {runs} runs" if runs > 1 else ""
    held = f", champion of {', '.join(champion['regimes'])}" if champion["regimes"] else ""
    births = len(line) - 1
    return (
        f"{bundle.species} {champion['id']} of run {champion['run_id']}{held}, "
        f"{births} birth{'s' * (births != 1)} from its first ancestor{back}"
    )


def _clipped(market: Market, changes: Sequence[Change]) -> Iterator[str]:
    """On how many of the bars to train on the two scalings clip apart or hide a hole, where they do at all."""
    seen, apart, bars = np.asarray(market.tape.features), 0, 0
    each = len(market.segments) // len(changes)
    for place, segment in enumerate(market.segments):
        rows = seen[segment.rows.train.start : segment.rows.train.stop]
        apart += int(changes[place // each].clipped(rows).any(axis=-1).sum())
        bars += len(rows)
    if apart:
        yield f"on {apart:,} of {bars:,} bars to train on a feature is clipped otherwise than there, or is a hole"
