"""Arena, runner and ONNX model are one champion: on real bars where there are some, on made-up ones always.

`parity.compare` counts; here is what the counts must be. Champions are random ones, whose weights are wide enough to
trade often, on 10,000 bars of each symbol with the default features: a network on every other symbol, a forest on the
rest, both on all in the soak; and evolved ones on the bars of their own run.
Bars of all symbols are as many, so that they share compiled programs.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "agents" / "live"))

from arenas import twin_of
from hand_bundles import Hand, hand_bundle, rewrite
from parity import Parity, compare, packed, same_observations
from small_bundles import small_bundle

from experiments.bundles.models import model_of
from markets.bars import Bars
from markets.features import FeatureSettings
from markets.regimes import RegimeSettings
from markets.rules import BrokerRules
from markets.synthetic import SyntheticSettings, simulate

DECISIONS = 10_000
FILES = ("fx/EURUSD_H1_bidask", "fx/XAUUSD_H1_bidask", "crypto/BTCUSD_H2", "equity/SPY_H1")
SPECIES = ("qnetwork", "forest")
RULES = BrokerRules(commission=5e-5, slippage=1e-5, max_leverage=2.0, maintenance=0.02)


def read(path: Path) -> Bars:
    """Bars of a file of shared data, both sides where it has them."""
    frame = pl.read_parquet(path)
    prices = ["open", "high", "low", "close"]
    bid = frame.select(prices).to_numpy().astype(np.float64)
    asks = [f"ask_{price}" for price in prices]
    ask = frame.select(asks).to_numpy().astype(np.float64) if asks[0] in frame.columns else bid
    time = frame["timestamp"].dt.replace_time_zone(None).dt.cast_time_unit("us").to_numpy()
    return Bars(path.stem, time, bid, ask, frame["volume"].to_numpy().astype(np.float64))


def random_bundle(folder: Path, species: str, *, seed: int = 5) -> Path:
    """A bundle of a random champion with default features, which knows of every step that a market may have."""
    made: Hand = hand_bundle(
        folder / species,
        species,
        seed=seed,
        feature_settings=FeatureSettings(),
        regime_settings=RegimeSettings(),
        bars=simulate(SyntheticSettings(bars=3000, symbols=1), 5)[0],
        rules=RULES,
    )
    manifest: dict[str, Any] = made.manifest
    manifest["clock"] |= {"shortest": 1.0, "longest_gap": 1e9}
    model = model_of(made.species, made.genome, [one["name"] for one in manifest["features"]["list"]])
    (made.path / "model.onnx").write_bytes(model)
    manifest["files"]["model.onnx"] = {"sha256": _sha256(model), "bytes": len(model)}
    rewrite(made.path, manifest)
    return made.path


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def champion(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_bundle(tmp_path_factory.mktemp("parity"), request.param)


def _agree(found: Parity) -> None:
    print(f"\n{found}")
    assert (found.features, found.regimes, found.ranges) == (0, 0, 0)
    assert found.runner <= 1e-5
    assert found.model <= 1e-5
    assert found.leaves == 0
    assert found.actions == 0
    assert [why for why in found.partings if why.startswith("unexplained")] == []
    assert found.view <= 5e-4
    assert found.broker <= 1e-9


@pytest.mark.parametrize(
    ("champion", "file"),
    [
        pytest.param(species, file, marks=[pytest.mark.soak] if (other + number) % 2 else [])
        for other, species in enumerate(SPECIES)
        for number, file in enumerate(FILES)
    ],
    indirect=["champion"],
)
def test_on_real_bars(champion: Path, file: str, shared_data: Path) -> None:
    pytest.importorskip("onnxruntime", reason="no onnxruntime: pip install '.[live]'")
    path = shared_data / f"{file}.parquet"
    if not path.is_file():
        pytest.skip(f"no {path}")
    found = compare(champion, read(path)[: 547 + DECISIONS + 1])
    assert found.bars == DECISIONS
    assert found.orders > 100
    _agree(found)


@pytest.mark.parametrize("champion", SPECIES, indirect=True)
def test_on_made_up_bars(champion: Path) -> None:
    pytest.importorskip("onnxruntime", reason="no onnxruntime: pip install '.[live]'")
    found = compare(champion, simulate(SyntheticSettings(bars=547 + DECISIONS + 1, symbols=1), 9)[0])
    assert found.bars == DECISIONS
    assert found.orders > 100
    _agree(found)


@pytest.mark.parametrize("species", SPECIES)
def test_of_evolved_champions(species: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    pytest.importorskip("onnxruntime", reason="no onnxruntime: pip install '.[live]'")
    bundle = small_bundle(tmp_path_factory, species)
    found = compare(bundle, simulate(SyntheticSettings(bars=2300, symbols=1), 11)[0])
    assert found.orders > 20
    _agree(found)


def test_a_model_of_another_champion_is_found_out(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="no onnxruntime: pip install '.[live]'")
    mine, other = (random_bundle(tmp_path / str(seed), "forest", seed=seed) for seed in (5, 6))
    manifest = json.loads((mine / "manifest.json").read_text(encoding="utf-8"))
    random = np.random.default_rng(1)
    features = random.normal(size=(500, len(manifest["features"]["list"]))).astype(np.float32)
    view = random.normal(size=(500, 4)).astype(np.float32)
    champion, found = packed().Champion, Parity()
    model = champion.load(other, backend="onnx")
    same_observations(found, champion.load(mine), model, twin_of(manifest, mine), features, view)
    assert found.model > 0.1
    assert found.actions > 50
    assert (found.runner <= 1e-5, found.leaves) == (True, 0)
