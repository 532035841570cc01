"""Run identity: what makes two runs the same study, as twelve hexadecimal digits."""

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np

from arena.plan import Plan
from experiments.configuration.keys import flatten
from experiments.founders.bundles import BundleSettings, hashes, open_bundles
from experiments.founders.founding import BUNDLE, RANDOM
from experiments.founders.libraries import LIBRARIES, Source
from experiments.founders.training import TrainingSettings, training_device
from markets.bars import Bars
from markets.errors import UserError

__all__ = ["data_hash", "fixed_bits", "founders_mark", "placeless", "run_id", "shared_keys", "source_hash", "versions"]

_VOLATILE = (
    "runs_dir",
    "force",
    "check",
    "terminal",
    "market.path",
    "training.path",
    "bundle",
    "record.flush",
    "record.checkpoint",
    "record.keep",
)
"""Keys that change nothing of a run's result; `evolution.generations` only says where it stops."""

_FOLDED = ("folds", "generations", "anchored")
"""Keys of `split` that say nothing where there is one fold."""

_PLACE = ("coordinator", "processes", "process")
"""Keys of `device` that say where a process stands among those of a run, which may change from session to session."""

_OWN = (
    "runs_dir.",
    "terminal.",
    "market.path.",
    "training.path.",
    "bundle.path.",
    "device.process.",
    "device.coordinator.",
    "device.timeout.",
)
"""Keys, or groups of them, that may differ between the processes of one run."""

_PACKAGES = ("agents", "arena", "conf", "experiments", "genomes", "markets")


def run_id(config: Mapping[str, Any], data: str, bits: Mapping[str, Any]) -> str:
    """First 12 hexadecimal digits of the SHA-256 of configuration, data and what fixes the bits.

    Args:
        config: resolved configuration; volatile keys are left out.
        data: hash of the bars.
        bits: see `fixed_bits`.
    """
    kept = json.loads(json.dumps(config))
    for key in (*_VOLATILE, "evolution.generations", "device"):
        group, _, name = key.partition(".")
        if name:
            (kept.get(group) or {}).pop(name, None)  # an empty group is all defaults
        else:
            kept.pop(group, None)
    species = kept.get("species") or {}
    if species.get("founders", RANDOM) in (RANDOM, "file", BUNDLE):
        kept.pop("training", None)  # nothing is trained
    if species.get("founders") == RANDOM:
        species.pop("founders")  # as if nobody had asked
    split = kept.get("split") or {}
    if split.get("folds", 1) == 1:
        for name in _FOLDED:
            split.pop(name, None)  # there is one split, as before there were several
    text = json.dumps({"config": kept, "data": data, "bits": dict(bits)}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def placeless(config: Mapping[str, Any]) -> dict[str, Any]:
    """Configuration for the run's directory: a run may be gone on with on more or fewer processes."""
    return {**config, "device": {**config["device"], **dict.fromkeys(_PLACE)}}


def shared_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys that all processes of a run must be given alike."""
    return {key: value for key, value in flatten(config).items() if not f"{key}.".startswith(_OWN)}


def fixed_bits(plan: Plan) -> dict[str, Any]:
    """What fixes the bits of a result beside configuration and data; the number of devices does not."""
    return {
        "backend": jax.default_backend(),
        "block": plan.block,
        "chunk": plan.rollouts[0].chunk,
        "precision": plan.settings.device.precision,
    }


def founders_mark(source: str, training: TrainingSettings, bundle: BundleSettings | None = None) -> dict[str, str]:
    """What fixes the bits of founders that come from elsewhere: a library's version and device, or the files' content.

    Empty where founders are drawn.

    Raises:
        UserError: a file or bundle that cannot be read, or no GPU where one is asked for.
    """
    if source == RANDOM:
        return {}
    if source == BUNDLE:
        return {"founders": hashes(open_bundles(bundle or BundleSettings()))}
    if source != "file":
        library = LIBRARIES[cast(Source, source)]
        device, _ = training_device(library, training)
        return {"founders": f"{library.module} {importlib.metadata.version(library.module)} {device}"}
    paths = [training.path] if isinstance(training.path, str) else training.path or ()
    try:
        return {"founders": " ".join(hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths)}
    except OSError as error:
        raise UserError(f"training.path: {error.filename}: cannot be read ({error.strerror})") from None


def data_hash(symbols: Sequence[Bars]) -> str:
    """SHA-256 of all bars: symbols, stamps, both sides, volume and columns."""
    digest = hashlib.sha256()
    for bars in symbols:
        digest.update(bars.symbol.encode())
        for array in (bars.time.astype("datetime64[us]").astype(np.int64), bars.bid, bars.ask, bars.volume):
            digest.update(np.ascontiguousarray(array).tobytes())
        for name in sorted(bars.columns):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(bars.columns[name]).tobytes())
    return digest.hexdigest()


def source_hash() -> str:
    """SHA-256 of this program's own source, over the packages it consists of."""
    digest = hashlib.sha256()
    root = Path(__file__).resolve().parents[2]
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*.py")) + sorted((root / package).rglob("*.yaml")):
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    named = ("lineage-arena", "jax", "jaxlib", "numpy", "polars")
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in named}}
