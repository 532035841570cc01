"""Export: a run's champion as a bundle, a folder that appears whole or not at all."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors.numpy import save

from agents.live.bundle import canonical_hash
from arena.rollout import Trader
from experiments.bundles.golden import golden, packed
from experiments.bundles.manifest import Risk, manifest_of, warm_up
from experiments.bundles.metatrader import expert, has_expert
from experiments.bundles.models import model_of
from experiments.bundles.packing import pack_runner
from experiments.bundles.readme import readme
from experiments.champions.champions import Champion, feature_names, find_champion, read_trader
from experiments.champions.world import World, alone, load_world
from experiments.configuration.study import Study
from experiments.runs.champions import replicates
from experiments.runs.directory import RunDirectory
from experiments.runs.files import see_free, write_folder
from markets.errors import UserError
from markets.settings import check

__all__ = ["Risk", "export"]


def export(
    directory: RunDirectory,
    who: str,
    out: Path,
    *,
    replicate: int | None = None,
    symbol: str | None = None,
    risk: Risk | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Path:
    """Write a champion as a bundle; an equal run and equal options give equal bytes.

    Args:
        directory: of the run.
        who: a regime, `all` (or `all_rounder`), or the id of an agent that is or was a champion.
        out: the folder to make; one that exists must be empty.
        replicate: whose champion of the regime, 1 is the first and where nothing is said.
        symbol: of a pool of several, which the champion is to trade; the first by default.
        risk: caps for whoever trades it.
        tell: called with what begins now, in words.

    Returns:
        The full path of the bundle.

    Raises:
        UserError: no such champion, a run whose bars are gone or have changed, a basket, damage, or a place that cannot
            be written.
    """
    out, risk = see_free(out), risk or Risk()
    check(risk, "risk")
    tell("reading the run")
    champion = find_champion(directory, who, replicate)
    study = _study(directory)
    if study.market.mode == "basket":
        raise UserError(
            f"{directory.root}: trades a basket; a bundle is of one instrument, so right is market.mode=pool"
        )
    if study.settings.observation.places is not None:
        raise UserError(
            f"{directory.root}: observation.account hides numbers of the account from its agents, and a bundle shows a "
            "champion all four; right is observation=all"
        )
    species, trader = read_trader(directory, champion, study.settings)
    world = _world(directory, study)
    place = _replicate(directory, champion)
    segment = _segment(world, world.market_of(place), symbol)
    setup = dataclasses.replace(world.plan.rollouts[world.plan.names.index(champion.species)], species=species)
    if feature_names(directory) != list(world.market.features):
        raise UserError(f"{directory.manifest}: its features are not those of the configuration; bring both back")
    tell(f"compiling, and repeating decisions of {champion.species} {champion.id} in the arena")
    decisions = golden(world, setup, trader, segment, warm_up=warm_up(world))
    manifest = manifest_of(
        directory, study, world, champion, setup, trader, replicate=place, segment=segment, risk=risk
    )
    tell("writing the bundle")
    leaves = _leaves(trader)
    contents = {
        "champion.safetensors": save(leaves),
        "model.onnx": model_of(species, trader.genome, world.market.features),
        "golden.npz": packed(decisions),
        "README.md": readme(manifest, len(decisions["action"])).encode(),
        **{f"runner/{name}": content for name, content in pack_runner().items()},
    }
    if has_expert(manifest):
        contents["mt5/ChampionEA.mq5"] = expert(manifest, leaves).encode()
    _write(out, manifest, contents)
    return out


def _write(out: Path, manifest: Mapping[str, Any], contents: Mapping[str, bytes]) -> None:
    """Write all files, the manifest with their hashes among them."""
    hashed = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in sorted(contents.items())
    }
    whole = {**manifest, "files": hashed}
    head = {name: whole.pop(name) for name in ("format", "version")}
    whole = {**head, "hash": canonical_hash({**head, **whole}), **whole}
    text = json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def fill(folder: Path) -> None:
        for name, content in {**contents, "manifest.json": text.encode()}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)

    try:
        write_folder(out, fill)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror or error}); name another folder") from None


def _study(directory: RunDirectory) -> Study:
    try:
        return alone(directory.read_config())
    except UserError as error:
        named = str(error).startswith(str(directory.config))
        raise UserError(str(error) if named else f"{directory.config}: {error}") from None


def _world(directory: RunDirectory, study: Study) -> World:
    try:
        return load_world(study, directory.read_manifest().get("data_hash"))
    except UserError as error:
        raise UserError(
            f"{directory.root}: {error} A bundle needs them for its golden decisions; bring them back"
        ) from None


def _replicate(directory: RunDirectory, champion: Champion) -> int:
    """The replicate that a champion lives in, from 0."""
    count, islands = replicates(directory)
    if count == 1:
        return 0
    births = directory.read("births")
    island = births.filter(births["id"] == champion.id)["island"].to_list()
    return int(island[0]) // islands if island else 0


def _segment(world: World, market: int, symbol: str | None) -> int:
    """The segment of the tape that a symbol is, in one of its markets."""
    count = len(world.market.segments) // len(world.market.scalers)
    names = [segment.symbols[0] for segment in world.market.segments[market * count : (market + 1) * count]]
    if symbol is None:
        return market * count
    if symbol not in names:
        raise UserError(f"--symbol: {symbol} is none of the run's; there are: {', '.join(names[:8])}")
    return market * count + names.index(symbol)


def _leaves(trader: Trader) -> dict[str, np.ndarray]:
    """Leaves by dotted path, as in the run's own file."""
    pairs = jax.tree_util.tree_flatten_with_path(trader)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf, order="C") for path, leaf in pairs}
