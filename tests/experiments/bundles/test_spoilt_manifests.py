"""A manifest with a key dropped or of another type is refused in one line, or everybody who reads one can use it."""

import argparse
import contextlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any, Never

import numpy as np
import pytest
from small_runs import arena

from agents.live import Champion
from agents.live.caps import Caps
from agents.live.manifest import read_manifest
from agents.live.shadow import Shadow
from experiments.bundles.verify import _broken_manifest
from experiments.commands import paper
from experiments.founders.bundles import BundleSettings, open_bundles, suited
from markets.errors import UserError

sys.path.append(str(Path(__file__).resolve().parents[2] / "agents" / "live"))
from hand_bundles import SMALL, Hand, hand_bundle, rewrite
from test_live_schema import DROPPED, paths, spoilt

READ = ("champion", "species", "clock", "actions", "broker", "instrument", "risk", "ancestry", "data", "warm_up")
"""What somebody reads who is not the runner."""

BEGINS = "it would begin here"


class BeginsError(UserError):
    """All is well so far."""


class _Feed:
    def close(self) -> None: ...


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Hand:
    small = {"depth": 2, "market_trees": 3, "state_trees": 1}
    return hand_bundle(tmp_path_factory.mktemp("bundles") / "b", "forest", settings=small)


@pytest.fixture
def no_feed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A paper account goes as far as its folder."""

    def begins(*_: object) -> Never:
        raise BeginsError(BEGINS)

    monkeypatch.setattr(paper, "_feed", lambda args, manifest: (_Feed(), str(manifest["instrument"]["symbol"])))
    monkeypatch.setattr(paper, "opened", begins)


def trades_on_paper(bundle: Path) -> str:
    """What `arena paper` says."""
    code, said, complaint = arena("paper", str(bundle), "--bars", "any", "--out", str(bundle.parent / "paper"))
    assert (code, said, complaint.count("\n")) == (2, "", 1), complaint
    return complaint


def used(bundle: Path, made: Hand, *, brain: bool = False) -> None:
    """By all that read more of a manifest than the runner does; most are refused before they are asked."""
    manifest = Champion.load(bundle).manifest
    Shadow(manifest["broker"])
    Caps(**{name: manifest["risk"][name] for name in ("max_exposure", "max_drawdown", "max_daily_loss")})
    first, last = (np.datetime64(manifest["data"][name].removesuffix("Z"), "us") for name in ("first", "last"))
    assert (last - first) / np.timedelta64(1, "s") / manifest["data"]["bars"] > -np.inf
    _broken_manifest(manifest)
    words = argparse.ArgumentParser()
    paper.add_arguments(words)
    with contextlib.suppress(BeginsError):
        paper.run(words.parse_args([str(bundle), "--bars", "any", "--out", str(bundle.parent / "paper")]))
    (opened,) = open_bundles(BundleSettings(str(bundle)))
    suited([opened], {made.manifest["species"]["name"]: made.manifest["species"]["settings"]}, SMALL)
    opened.kind()
    if brain:  # its form is traced, which takes a while
        opened.brain(opened.kind())


@pytest.mark.usefixtures("no_feed")
def test_whatever_key_is_dropped_or_retyped_nobody_trips_over_it(made: Hand, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(made.path, tmp_path / "b"))
    values = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    assert BEGINS in trades_on_paper(bundle)
    used(bundle, made, brain=True)
    accepted = refused = 0
    for path in (path for path in paths(values) if path[0] in READ):
        at: Any = values
        for step in path:
            at = at[step]
        for wrong in (DROPPED, 3 if isinstance(at, str) else "x"):
            new = spoilt(values, path, wrong)
            with contextlib.suppress(UserError):
                read_manifest(new, "")
                rewrite(bundle, new)
                accepted += 1
                used(bundle, made)
                continue
            refused += 1
    assert refused > 3 * accepted > 0


def test_every_command_refuses_a_manifest_without_one_of_its_groups(made: Hand, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(made.path, tmp_path / "b"))
    for key in ("champion", "risk", "data", "broker", "files"):
        for wrong in (DROPPED, []):
            rewrite(bundle, spoilt(made.manifest, (key,), wrong))
            complaint = trades_on_paper(bundle)
            assert complaint.startswith(f"arena: {bundle / 'manifest.json'}: {key}: ")
            code, said, complaint = arena("verify", str(bundle))
            assert (code, complaint) == (1, "")
            assert said.endswith("1 of 1 checks failed\n")
            with pytest.raises(UserError, match=rf"^bundle.path: .*manifest.json: {key}: "):
                open_bundles(BundleSettings(str(bundle)))
