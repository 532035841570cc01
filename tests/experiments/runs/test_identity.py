"""What makes two runs the same study: which keys, the bars, and what fixes the bits."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from experiments.configuration.compose import compose
from experiments.runs.identity import data_hash, run_id, source_hash
from markets.bars import Bars
from markets.synthetic import SyntheticSettings, simulate

BITS = {"backend": "cpu", "block": 32, "chunk": 16, "precision": "highest"}


def identity(*overrides: str, data: str = "0", **bits: Any) -> str:
    return run_id(compose(overrides), data, {**BITS, **bits})


def test_an_identity_is_twelve_hexadecimal_digits_and_the_same_again() -> None:
    assert identity() == identity()
    assert len(identity()) == 12
    assert int(identity(), 16) >= 0


@pytest.mark.parametrize(
    "override",
    [
        "runs_dir=elsewhere",
        "force=true",
        "check=true",
        "terminal.progress=false",
        "record.flush=3",
        "record.checkpoint=3",
        "record.keep=1",
        "evolution.generations=7",
        "device.count=2",
        "split.generations=3",
        "split.anchored=true",
    ],
)
def test_what_changes_no_result_changes_no_identity(override: str) -> None:
    assert identity(override) == identity()


def test_where_bars_lie_is_no_part_of_it_but_how_they_are_read_is() -> None:
    here = identity("market=bars", "market.path=a.csv")
    assert identity("market=bars", "market.path=b.csv") == here
    assert identity("market=bars", "market.path=[a.csv,b.csv]") == here
    assert identity("market=bars", "market.path=a.csv", "market.timestamps=close") != here


def test_everything_else_is() -> None:
    changed = [
        identity(),
        identity("seed=1"),
        identity("broker.commission=0.001"),
        identity("costs={SYN1: {commission: 0.001}}"),
        identity("market.edge=4"),
        identity("market.mode=basket"),
        identity("features.rsi=[7]"),
        identity("scars=both"),
        identity("split.train=0.6"),
        identity("split.folds=2"),
        identity("split.folds=2", "split.generations=3"),
        identity("split.folds=2", "split.anchored=true"),
        identity("species.qnetwork.hidden=[8]"),
        identity("evolution.agents=512"),
        identity("record.fitness=births"),
        identity(data="1"),
        identity(backend="gpu"),
        identity(block=16),
        identity(chunk=8),
        identity(precision="default"),
    ]
    assert len(set(changed)) == len(changed)


def test_a_study_of_one_split_is_the_one_it_was_before_there_were_folds() -> None:
    before = compose()
    for key in ("folds", "generations", "anchored"):
        del before["split"][key]
    assert run_id(before, "0", BITS) == identity()


def test_the_hash_of_bars_sees_every_part_of_them() -> None:
    (bars,) = simulate(SyntheticSettings(bars=50), 0)
    bars = dataclasses.replace(bars, columns={"funding": np.arange(50.0)})
    first = np.arange(50) == 0
    changed: list[Bars] = [
        bars,
        dataclasses.replace(bars, symbol="SYN2"),
        dataclasses.replace(bars, time=bars.time + np.timedelta64(1, "m")),
        dataclasses.replace(bars, bid=np.where(first[:, None], bars.bid * (1 - 1e-9), bars.bid)),
        dataclasses.replace(bars, ask=np.where(first[:, None], bars.ask * (1 + 1e-9), bars.ask)),
        dataclasses.replace(bars, volume=bars.volume + first),
        dataclasses.replace(bars, columns={"funding": np.arange(50.0) + first}),
        dataclasses.replace(bars, columns={"basis": np.arange(50.0)}),
        dataclasses.replace(bars, columns={}),
    ]
    hashes = [data_hash([own]) for own in changed]
    assert len(set(hashes)) == len(hashes)
    assert data_hash([bars]) == hashes[0]
    assert data_hash(changed[:2]) != data_hash(changed[1::-1])
    copied = dataclasses.replace(bars, bid=np.asfortranarray(bars.bid), time=bars.time.astype("datetime64[ns]"))
    assert data_hash([copied]) == hashes[0]


def test_the_source_has_one_hash() -> None:
    assert source_hash() == source_hash()
    assert len(source_hash()) == 64


def test_what_is_said_of_training_counts_only_where_something_is_trained() -> None:
    forest = {"species": {"forest": {}, "founders": "random"}, "training": {"models": 8, "path": None}}
    known = run_id(forest, "bars", {})
    assert known == run_id({"species": {"forest": {}}}, "bars", {}), "as before there were founders"
    assert known == run_id({**forest, "training": {"models": 4, "path": "x"}}, "bars", {})
    trained = {**forest, "species": {"forest": {}, "founders": "lightgbm"}}
    more = {**trained, "training": {"models": 4, "path": None}}
    assert len({known, run_id(trained, "bars", {}), run_id(more, "bars", {})}) == 3
    given = {**forest, "species": {"forest": {}, "founders": "file"}}
    assert run_id(given, "bars", {"founders": "1"}) == run_id(
        {**given, "training": {"models": 4, "path": "elsewhere"}}, "bars", {"founders": "1"}
    )
    assert run_id(given, "bars", {"founders": "1"}) != run_id(given, "bars", {"founders": "2"})
