"""What a manifest says, as typed settings: all that is needed to act. The rest stays in the mapping it came as, held
against the schema: whoever reads it finds every key there, and of the right type.

Keys that are not known here are passed over, so that a later minor version may add some; a key that changes what the
champion sees or does (one of the features' or regimes' settings, or of its decision rules) is never passed over.
Version 2 has decision rules (`inference`), without which a champion would act otherwise than it was judged: a reader of
version 1 refuses it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from agents.live.inference import Inference, check_inference, check_species, cut
from agents.live.schema import manifest_schema, mistakes
from markets.errors import UserError
from markets.features import FeatureSettings, features, relative_atr_window, warmup
from markets.regimes import REGIMES, RegimeSettings
from markets.scaling import Scaler
from markets.settings import build, setting, shown

__all__ = ["ACCOUNT_VIEW", "FORMAT", "MAJORS", "Manifest", "read_manifest"]

T = TypeVar("T")

FORMAT = "lineage-arena.bundle"
MAJORS = 1, 2
"""As bred, and by decision rules."""

ACCOUNT_VIEW = ["position", "unrealised", "drawdown", "holding"]


@dataclasses.dataclass(frozen=True)
class Species:
    """What kind of brain it is."""

    name: Literal["qnetwork", "forest"]
    settings: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Column:
    """One feature: what it is called, how far it looks back, and the constants of its scaling."""

    name: str
    window: int = setting(ge=1)
    scaled: bool = setting()
    centre: float = setting()
    scale: float = setting(gt=0.0)


@dataclasses.dataclass(frozen=True)
class Features:
    """What is seen of the market."""

    settings: FeatureSettings
    columns: tuple[str, ...]
    list: tuple[Column, ...]
    clip: float = setting(gt=0.0)


@dataclasses.dataclass(frozen=True)
class Regimes:
    """How regimes are told apart."""

    settings: RegimeSettings
    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Clock:
    """When bars come: `seconds` apart as a rule, `shortest` at least and `longest_gap` at most."""

    stamps: Literal["open"]
    zone: Literal["UTC"]
    seconds: float = setting(gt=0.0)
    shortest: float = setting(gt=0.0)
    longest_gap: float = setting(gt=0.0)


@dataclasses.dataclass(frozen=True)
class Actions:
    """What can be asked for."""

    names: tuple[str, ...]
    exposures: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Genes:
    """Those of the genes that act outside evolution."""

    size: float = setting(gt=0.0)
    stop: float = setting(gt=0.0)
    take_profit: float = setting(gt=0.0)


@dataclasses.dataclass(frozen=True)
class Memory:
    """Whether scars act on exposure, and how."""

    acts: bool
    reach: float = setting(gt=0.0)
    strength: float = setting(ge=0.0, le=1.0)


@dataclasses.dataclass(frozen=True)
class Trust:
    """Whether reputation scales exposure, and where it begins."""

    scales_capital: bool
    floor: float = setting(ge=0.0, le=1.0)


@dataclasses.dataclass(frozen=True)
class Broker:
    """What of the broker's rules changes what is seen: the spread."""

    spread: float | None = setting(None, ge=0.0)
    spread_rate: float | None = setting(None, ge=0.0)


@dataclasses.dataclass(frozen=True)
class Instrument:
    """What it trades."""

    symbol: str
    trained_on: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Manifest:
    """All of a manifest that acting needs; names as in the file."""

    hash: str
    warm_up: int = setting(ge=1)
    stops: bool = setting()
    species: Species = setting()
    features: Features = setting()
    regimes: Regimes = setting()
    clock: Clock = setting()
    actions: Actions = setting()
    genes: Genes = setting()
    memory: Memory = setting()
    trust: Trust = setting()
    broker: Broker = setting()
    instrument: Instrument = setting()
    inference: Inference | None = None

    def lookbacks(self) -> tuple[int | None, ...]:
        """The look-back under which each regime is seen, `unknown` left out; None is that of the features' settings."""
        known = self.regimes.names[:-1]
        return tuple(None if self.inference is None else self.inference.regimes[name].lookback for name in known)

    def views(self) -> dict[int | None, FeatureSettings]:
        """What is seen under each look-back; what the champion was bred on comes first."""
        own = self.features.settings
        return {None: own} | {back: cut(own, back) for back in self.lookbacks()}

    @property
    def scaler(self) -> Scaler:
        """What makes inputs of features."""
        import numpy as np

        columns = self.features.list
        centre, scale = (np.asarray([getattr(column, key) for column in columns]) for key in ("centre", "scale"))
        return Scaler(tuple(column.name for column in columns), centre, scale, self.features.clip)


def read_manifest(values: Mapping[str, Any], where: str) -> Manifest:
    """The typed part of a manifest.

    Args:
        values: the object of the file.
        where: what messages call the file.

    Raises:
        UserError: another format or major version, a missing key, a value that cannot be, or features that this
            version does not make as the bundle has them. `files` is left to who reads them.
    """
    _check_version(values, where)
    if values.get("account_view") != ACCOUNT_VIEW:
        raise UserError(f"{where}: account_view: expected {', '.join(ACCOUNT_VIEW)}")
    try:
        manifest = _build(Manifest, values, "")
        made = features(manifest.features.settings, manifest.features.columns)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    known = [(column.name, column.window, column.scaled) for column in manifest.features.list]
    if known != [(feature.name, feature.window, feature.scaled) for feature in made]:
        raise UserError(f"{where}: features.list: not what features.settings make here; use the bundle's own runner")
    if manifest.regimes.names != REGIMES:
        raise UserError(f"{where}: regimes.names: expected {', '.join(REGIMES)}")
    check_species(manifest.species.name, manifest.species.settings, where, "species")
    if manifest.inference is not None:
        _check_rules(manifest, manifest.inference, str(values["version"]), where)
    seen = [warmup(features(view, manifest.features.columns)) for view in manifest.views().values()]
    least = max(*seen, manifest.regimes.settings.window, relative_atr_window())
    if manifest.warm_up < least:
        raise UserError(f"{where}: warm_up: {manifest.warm_up} bars must be at least {least}")
    if not 2 <= len(manifest.actions.names) == len(manifest.actions.exposures):
        raise UserError(f"{where}: actions: expected two names at least and an exposure for each")
    _check_rest(values, where)
    return manifest


def _check_rest(values: Mapping[str, Any], where: str) -> None:
    """That everything is there, and of the right type, for those who read more than acting needs."""
    whole = manifest_schema()
    required = [key for key in whole["required"] if key != "files"]
    known = {key: schema for key, schema in whole["properties"].items() if key != "files"}
    for mistake in mistakes(values, {**whole, "required": required, "properties": known}, root=whole):
        raise UserError(f"{where}: {mistake}")


def _check_rules(manifest: Manifest, rules: Inference, version: str, where: str) -> None:
    """That decision rules are of this champion, and of a version that has them."""
    if version.startswith("1."):
        raise UserError(f"{where}: version: {version} has no decision rules (inference); right is 2.0")
    check_inference(rules, manifest.regimes.names[:-1], where)
    first = rules.brains[0]
    if (first.species, first.settings) != (manifest.species.name, manifest.species.settings):
        raise UserError(f"{where}: inference.brains[0]: not the species of the champion, which comes first")


def _check_version(values: Mapping[str, Any], where: str) -> None:
    if values.get("format") != FORMAT:
        raise UserError(f"{where}: format: expected {FORMAT}, got {shown(values.get('format'))}")
    version = values.get("version")
    major, _, minor = version.partition(".") if isinstance(version, str) else ("", "", "")
    if not (major.isascii() and major.isdigit() and minor.isascii() and minor.isdigit()):
        raise UserError(f"{where}: version: expected 1 or 2 and a minor number, such as 1.0, got {shown(version)}")
    if major not in map(str, MAJORS):
        raise UserError(f"{where}: version: {shown(version)} cannot be read; this runner reads versions 1 and 2")


def _build(cls: type[T], values: object, where: str) -> T:
    """As `build`, but unknown keys are passed over, at this level and in the groups declared in this file."""
    if not isinstance(values, Mapping):
        raise UserError(f"{where or 'manifest'}: expected a group of keys, got {shown(values)}")
    kept = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        if field.name in values:
            value, key = values[field.name], f"{where}.{field.name}" if where else field.name
            if isinstance(field.type, type) and field.type.__module__ == __name__:
                value = _build(field.type, value, key)
            elif cls is Features and field.name == "list" and isinstance(value, list):
                value = [_build(Column, item, f"{key}[{place}]") for place, item in enumerate(value)]
            kept[field.name] = value
    return build(cls, kept, where)
