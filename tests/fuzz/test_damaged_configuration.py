"""Nonsense in configuration: refused in one line before anything is built of it, or a study that can be described."""

import copy
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import answer, refused
from damage import CELLS

from experiments.configuration.compose import compose
from experiments.configuration.study import make_study
from markets.errors import UserError
from markets.settings import build
from markets.synthetic import SyntheticSettings

CASES = 1200  # in each session; the soak goes on from there

NONSENSE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 1.5, -0.5, 1e-320, 1e308, float("nan"), float("inf"), float("-inf"), 10**12),
    *(2**31, 2**32, 2**63, 2**64, 10**400, -(10**400), 10**5000, "", "x", "1", "???", "${seed}", "\ud800", "\x1b[0m"),
    *("a" * 10000, [], [[]], [1], [-1], [0], [10**12], [1e308], ["a"], [None], [1] * 1000, {}, {"a": 1}, {1: 2}),
    *({"a": {"b": {}}}, {None: 1}, b"x", (1, 2), set(), object(), complex(1, 2), [{"a": 1}], {"name": "qnetwork"}),
)


@pytest.fixture(scope="module")
def configs() -> list[dict[str, Any]]:
    return [compose(), compose(["market=bars", "market.path=x.csv"]), compose(["market=sp500"])]


def _places(config: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in config.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from _places(value, (*above, key))


def spoil(config: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """The configuration with one to three values replaced, left out or added."""
    spoilt = copy.deepcopy(config)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        *groups, key = rng.choice(list(_places(spoilt)))
        inner = spoilt
        for group in groups:
            inner = inner[group]
        match rng.choice(("value", "value", "value", "gone", "more")):
            case "value":
                inner[key] = rng.choice(NONSENSE)
            case "gone":
                del inner[key]
            case "more":
                inner[rng.choice(["extra", "", 1, None, "__class__", "a.b"])] = rng.choice(NONSENSE)
    return spoilt


def made_or_refused(config: dict[str, Any]) -> bool:
    try:
        make_study(config)
    except UserError as error:
        said = str(error)
    else:
        return True
    assert said.isprintable()
    assert len(said) < 1300
    return False


def test_spoilt_configurations_make_a_study_or_one_line(configs: list[dict[str, Any]]) -> None:
    made = 0
    for case in range(CASES):
        rng = random.Random(f"configuration {case}")
        made += made_or_refused(spoil(rng.choice(configs), rng))
    assert 0 < made < CASES / 3


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_many_more_spoilt_configurations(configs: list[dict[str, Any]]) -> None:
    for case in range(CASES, int(os.environ.get("ARENA_FUZZ_CASES", "200000"))):
        rng = random.Random(f"configuration {case}")
        made_or_refused(spoil(rng.choice(configs), rng))


KEYS = (
    *("seed", "evolution.agents", "market", "market.bars", "species", "species.qnetwork.hidden", "features", "costs"),
    *("market.columns", "costs.EURUSD", "runs_dir", "hydra.run.dir", "hydra.searchpath", "device", "broker.cash"),
    *("+a", "++a.b", "~seed", "~market", "market@x", "defaults", "_self_", "nothing", "evolution", "", "evolution..x"),
    *("evolution.agents.x", "species/qnetwork", "/market", "market/..", "../x", "é", "\ud800", "a b", "\x1b"),
)
VALUES = (
    *("1", "[1", "{a:1", "a:b", "${seed}", "${oc.env:HOME}", "${nothing}", "${", "$", "'", '"', "\\", "1,2", "''"),
    *("range(1,3)", "range(1,1e12)", "choice(1,2)", "interval(0,1)", "glob(*)", "int(a)", "json_str(a)", "tag(a,1)"),
    *("null", "???", "nan", "inf", "1e400", "1_000", "0x10", "true", "' '", "a=b", "=", "qnetwork", "[synthetic]"),
    *("{a:{b:{c:1}}}", "\n", "\ud800", "🜁", "\x1b[31m", "a" * 5000, "9" * 5000, "[" * 60, "[" * 900 + "]" * 900),
    *("{a:" * 60, "(" * 200, "${a:" * 30, "${seed}" * 200, "!!python/object", "*a", "&a", "file:///nowhere", "~", "@"),
)


def command_line(rng: random.Random) -> list[str]:
    words = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        value = rng.choice(VALUES if rng.random() < 0.75 else CELLS).replace("\0", "")
        word = rng.choice(KEYS) + rng.choice(["=", "=", "=", "=", "", "+=", ":", "=="]) + value
        place = rng.randrange(len(word) + 1)
        word = word[:place] + rng.choice([*[""] * 12, "[", "]", "'", "$", "{", "\\", ","]) + word[place:]
        words.append(word)
    return words


def compose_any(cases: range) -> None:
    for case in cases:
        rng = random.Random(f"override {case}")
        words = [word for word in command_line(rng) if not word.startswith("-")]
        refused(answer("evolve", *words, "--cfg", "job", *rng.choice(([], ["-m"])), lines=20))


def test_any_overrides_are_composed_or_refused() -> None:
    compose_any(range(60))


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_many_more_overrides() -> None:
    compose_any(range(60, int(os.environ.get("ARENA_FUZZ_CASES", "5000"))))


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("evolution.agents=1000000000000", "whole numbers go up to"),
        ("evolution.agents=2000000000", "agents"),
        ("market.bars=2000000000", "market.bars: .* need about"),
        ("market.symbols=2000000000", "need about"),
        ("market.memory=0.999999", "at most 0.99"),
        ("species.qnetwork.hidden=[2000000000]", "agents|hidden"),
        ("episodes.episodes=2000000000", "episodes"),
        ("evolution.replicates=2000000000", "replicates|need"),
        ("broker.cash=1e300", "numbers go up to"),
        ("runs_dir=" + "[" * 400 + "]" * 400, "32 deep"),
        ("+a=" + "9" * 5000, "4300 digits|unknown key"),
        ("market=" + "a" * 5000, "no option has a name of 5,000 letters"),
    ],
    ids=lambda value: value[:32],
)
def test_what_no_machine_could_hold_is_refused_before_it_is_tried(word: str, why: str, tmp_path: Path) -> None:
    found = answer("evolve", word, "check=true", f"runs_dir={tmp_path / 'runs'}", lines=1)
    assert refused(found), found.out
    assert re.search(why, found.err), found.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [10**400, -(10**400), 10**5000, 1e31, float("inf")], ids=range(5))
def test_numbers_beyond_floats_are_refused_where_floats_are_wanted(value: float) -> None:
    with pytest.raises(UserError, match=r"market\.volatility: "):
        build(SyntheticSettings, {"volatility": value}, "market")
    with pytest.raises(UserError, match=r"market\.bars: "):
        build(SyntheticSettings, {"bars": value}, "market")
