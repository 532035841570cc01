"""Export: a run's champion as a bundle, a folder that appears whole or not at all."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors.numpy import save

from agents.live.bundle import canonical_hash
from agents.live.inference import CHAMPION
from arena.rollout import Trader
from experiments.bundles.golden import golden, golden_by_rules, packed
from experiments.bundles.handing import RuleName, handed_on, look_up
from experiments.bundles.manifest import Risk, manifest_of
from experiments.bundles.metatrader import expert
from experiments.bundles.models import model_of
from experiments.bundles.packing import pack_runner
from experiments.bundles.readme import readme
from experiments.bundles.saying import certificate_words, left_out
from experiments.champions.champions import feature_names
from experiments.champions.world import World, alone, load_world
from experiments.configuration.study import Study
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
    rule: RuleName | None = None,
    tell: Callable[[str], None] = lambda _: None,
    note: Callable[[str], None] = lambda _: None,
) -> Path:
    """Write a champion as a bundle; an equal run and equal options give equal bytes.

    Args:
        directory: of the run.
        who: a regime, `all` (or `all_rounder`), `router`, or the id of an agent that is or was a champion.
        out: the folder to make; one that exists must be empty.
        replicate: whose champion of the regime, 1 is the first and where nothing is said.
        symbol: of a pool of several, which the champion is to trade; the first by default.
        risk: caps for whoever trades it.
        rule: `certified` as the member of the certificate that it is, `plain` as bred; the first where there is a
            certificate of it and nothing is said.
        tell: called with what begins now, in words.
        note: called with what a person should know of the bundle: its certificate, and what it does without.

    Returns:
        The full path of the bundle.

    Raises:
        UserError: no such champion, none that was certified where that was asked for, a run whose bars are gone or have
            changed, a basket, damage, or a place that cannot be written.
    """
    out, risk = see_free(out), risk or Risk()
    check(risk, "risk")
    tell("reading the run")
    study = _study(directory)
    found = look_up(directory, study, who, replicate, rule)
    if study.market.mode == "basket":
        raise UserError(
            f"{directory.root}: trades a basket; a bundle is of one instrument, so right is market.mode=pool"
        )
    if study.settings.observation.places is not None:
        raise UserError(
            f"{directory.root}: observation.account hides numbers of the account from its agents, and a bundle shows a "
            "champion all four; right is observation=all"
        )
    world = _world(directory, study, found.fold)
    segment = _segment(world, world.market_of(found.replicate - 1), symbol)
    if feature_names(directory) != list(world.market.features):
        raise UserError(f"{directory.manifest}: its features are not those of the configuration; bring both back")
    handed = handed_on(directory, found, world)
    champion, brains = handed.champion, handed.brains
    others = f" and {len(brains) - 1} more" if len(brains) > 1 else ""
    tell(f"compiling, and repeating decisions of {champion.species} {champion.id}{others} in the arena")
    manifest = manifest_of(directory, study, world, handed, found, segment=segment, risk=risk)
    if handed.block is None:
        decisions = golden(world, handed.setup, handed.trader, segment, warm_up=manifest["warm_up"])
    else:
        decisions = golden_by_rules(world, handed, segment, warm_up=manifest["warm_up"])
    tell("writing the bundle")
    leaves = _leaves(handed.trader)
    left = left_out(manifest)
    contents = {
        CHAMPION: save(leaves),
        "golden.npz": packed(decisions),
        "README.md": readme(manifest, len(decisions["action"]), left).encode(),
        **{f"runner/{name}": content for name, content in pack_runner().items()},
    }
    for place in range(1, len(brains)):
        contents[manifest["inference"]["brains"][place]["file"]] = save(_leaves(brains[place][1]))
    if "model.onnx" not in left:
        contents["model.onnx"] = model_of(handed.setup.species, handed.trader.genome, world.market.features)
    if "mt5/" not in left:
        contents["mt5/ChampionEA.mq5"] = expert(manifest, leaves).encode()
    if found.certificate is not None:
        contents["certificate.json"] = (json.dumps(found.certificate, indent=2, ensure_ascii=False) + "\n").encode()
    _write(out, manifest, contents)
    note(found.note or certificate_words(manifest))
    for name, why in left.items():
        note(f"without {name}: {why}")
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


def _world(directory: RunDirectory, study: Study, fold: int) -> World:
    try:
        return load_world(study, directory.read_manifest().get("data_hash"), fold)
    except UserError as error:
        raise UserError(
            f"{directory.root}: {error} A bundle needs them for its golden decisions; bring them back"
        ) from None


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
