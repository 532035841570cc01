"""Verifying: whether a bundle is whole, and decides on this machine what its champion decided in the arena."""

import importlib.util
import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from agents.live.bundle import Bundle, read_bundle
from agents.live.golden import repeat
from experiments.bundles.manifest import Risk
from experiments.bundles.model_rules import broken_rules
from experiments.bundles.own_runner import repeat_by_own_runner
from experiments.bundles.packing import pack_runner
from experiments.bundles.saying import certificate_words
from experiments.certificates.reading import read_certificate
from markets.errors import UserError
from markets.rules import BrokerRules
from markets.settings import build

__all__ = ["Check", "verify"]

_MANIFEST = "manifest.json"


class Check(NamedTuple):
    """One thing that was looked at."""

    part: str
    """Of the bundle, or who repeated its decisions."""
    name: str
    ok: bool | None
    """None where it could not be looked at, which is no fault of the bundle."""
    detail: str


def verify(path: str | Path) -> list[Check]:
    """Look at everything that can be wrong with a bundle; where a file was changed, at nothing else.

    It runs the runner that lies in the bundle, so verify only what comes from somebody you would run programs of.

    Args:
        path: its folder.

    Raises:
        UserError: there is no bundle.
    """
    folder = Path(path)
    if not (folder / _MANIFEST).is_file():
        raise UserError(f"{folder}: no bundle: it has no {_MANIFEST}; give a folder that arena export wrote")
    try:
        bundle = read_bundle(folder)
    except UserError as error:
        return [Check("bundle", "whole", False, str(error))]
    foreign = _foreign(bundle)
    checks = [*_whole(bundle, foreign), _runner(bundle), *_model(bundle), *_certificate(bundle)]
    checks += _repeated("installed runner", lambda: repeat(folder).told)
    if foreign:
        checks.append(Check("own runner", "decisions", None, f"not run, because of {foreign[0]}"))
    else:
        checks += _repeated("own runner", lambda: repeat_by_own_runner(folder))
    if importlib.util.find_spec("onnxruntime") is None:
        absent = "onnxruntime is not installed; pip install 'lineage-arena[live]'"
        return [*checks, Check("onnxruntime", "decisions", None, absent)]
    if "model.onnx" not in bundle.values["files"]:
        return [*checks, Check("onnxruntime", "decisions", None, "not run, as there is no model")]
    return [*checks, *_repeated("onnxruntime", lambda: repeat(folder, backend="onnx").told)]


def _foreign(bundle: Bundle) -> list[str]:
    """What lies in the folder without a hash in the manifest, and so might run in place of what has one.

    A module beside runner/ hides one of the same name from a program that is started there. Folders in which Python
    keeps what it compiled are passed over: `repeat_by_own_runner` reads none.
    """
    found = list[str]()
    for where, folders, names in os.walk(bundle.path):
        place = Path(where)
        links = [name for name in folders if (place / name).is_symlink()]
        compiled = place.name == "__pycache__"
        found += [
            (place / name).relative_to(bundle.path).as_posix()
            for name in (*links, *names)
            if not (compiled and name.endswith(".pyc"))
        ]
    return sorted(set(found) - {_MANIFEST, *bundle.values["files"]})


def _whole(bundle: Bundle, foreign: Sequence[str]) -> list[Check]:
    """The manifest and the files are as they were written, which reading it has shown; nothing was put beside them."""
    files, own = bundle.values["files"], bundle.values
    size = sum(entry["bytes"] for entry in files.values())
    told = f"{len(files)} files, {size:,} bytes, all with the hashes that the manifest names"
    if foreign:
        told = f"{foreign[0]} is not in the manifest; somebody put it there"
    wrong = _broken_manifest(own)
    return [
        Check("bundle", "manifest", not wrong, wrong or f"{own['format']} {own['version']}, hash {own['hash'][:12]}…"),
        Check("bundle", "files", not foreign, told),
    ]


def _broken_manifest(manifest: Mapping[str, Any]) -> str:
    """What is wrong with the parts of a manifest that acting does not need; empty where nothing is."""
    try:
        for name, kind in (("broker", BrokerRules), ("risk", Risk)):
            build(kind, manifest[name], name)
        line, champion = manifest["ancestry"], manifest["champion"]
        if line[-1]["id"] != champion["id"] or line[-1]["run_id"] != champion["run_id"]:
            return f"ancestry: ends with agent {line[-1]['id']} of run {line[-1]['run_id']}, not with the champion"
        for before, after in itertools.pairwise(line):
            if before["run_id"] == after["run_id"] and after["parent_id"] != before["id"]:
                return f"ancestry: agent {after['id']} is no child of {before['id']}"
    except UserError as error:
        return str(error)
    except (KeyError, TypeError, LookupError) as error:
        return f"cannot be read: {error!r}"
    return ""


def _runner(bundle: Bundle) -> Check:
    """Whether the runner inside is the one installed here; another one of the same major version is as good."""
    inside = {
        name.removeprefix("runner/"): bundle.read(name) for name in bundle.values["files"] if name.startswith("runner/")
    }
    same = inside == pack_runner()
    return Check("bundle", "runner", bool(inside), "as installed here" if same else "of another version than here")


def _model(bundle: Bundle) -> list[Check]:
    """The model is one that MetaTrader takes; it may be missing only where no single one could act as the champion."""
    rules = bundle.manifest.inference
    if rules is not None and len(rules.brains) > 1 and "model.onnx" not in bundle.values["files"]:
        return [Check("bundle", "model", None, f"left out: the champion decides by {len(rules.brains)} brains")]
    if "model.onnx" not in bundle.values["files"]:
        return [Check("bundle", "model", False, "model.onnx is missing")]
    inputs = len(bundle.values["features"]["list"]) + len(bundle.values["account_view"])
    wrong = broken_rules(bundle.read("model.onnx"), inputs=inputs, outputs=len(bundle.values["actions"]["names"]))
    told = wrong[0] if wrong else f"float32 [1, {inputs}], as MetaTrader 5 takes it"
    return [Check("bundle", "model", not wrong, told)]


def _certificate(bundle: Bundle) -> list[Check]:
    """The certificate inside is whole and of this champion; nothing where there is none."""
    told, there = bundle.values["certificate"], "certificate.json" in bundle.values["files"]
    if told is None and not there:
        return []
    wrong = "the manifest and the folder do not both have it"
    if told is not None and there:
        wrong = _broken_certificate(bundle, told)
    return [Check("bundle", "certificate", not wrong, wrong or certificate_words(bundle.values))]


def _broken_certificate(bundle: Bundle, told: Mapping[str, Any]) -> str:
    """What is wrong with the certificate inside; empty where nothing is."""
    try:
        whole = read_certificate(bundle.path / "certificate.json")
        (own,) = (entry for entry in whole["family"] if entry["member"] == told["member"])
        right = {"verdict": whole["verdict"], "member_verdict": own["verdict"], "reasons": own["reasons"]}
        right |= {key: whole[key] for key in ("run_id", "level", "hash")}
        for key, value in right.items():
            if told[key] != value:
                return f"certificate.{key} of the manifest is not that of certificate.json"
        champion = bundle.values["champion"]
        if own["id"] is not None and (own["id"], own["generation"]) != (champion["id"], champion["generation"]):
            return f"it is of agent {own['id']}, not of {champion['id']}"
    except UserError as error:
        return str(error)
    except (KeyError, TypeError, ValueError) as error:
        return f"cannot be read: {error!r}"
    return ""


def _repeated(who: str, run: Any) -> Sequence[Check]:
    """What somebody who repeated the decisions came to."""
    try:
        return [Check(who, name, ok, detail) for name, ok, detail in run()]
    except (UserError, RuntimeError) as error:
        return [Check(who, "decisions", False, str(error))]
