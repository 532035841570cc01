"""A manifest is held against the schema that travels with it, as any reader of JSON Schema would hold it."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hand_bundles import Hand, hand_bundle, rewrite

from agents.live import Champion
from agents.live.schema import KEYWORDS, manifest_schema, mistakes
from markets.errors import UserError

FILE = {"sha256": "0" * 64, "bytes": 1}
FILES = dict.fromkeys(("champion.safetensors", "model.onnx", "golden.npz", "README.md", "runner/x.py"), FILE)
DROPPED = object()
WRONG: tuple[Any, ...] = (DROPPED, None, "", -1, 2, 0.5, True, [], {}, ["x", "x"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Hand:
    return hand_bundle(tmp_path_factory.mktemp("bundles") / "b")


def keywords(schema: Any, names: bool = False) -> Iterator[str]:
    """All that a schema says, less the names of its keys."""
    if isinstance(schema, dict):
        for key, inner in schema.items():
            if not names:
                yield key
            yield from keywords(inner, not names and key in ("properties", "$defs"))
    elif isinstance(schema, list):
        for inner in schema:
            yield from keywords(inner)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a manifest says something, the first item of a list for all of them."""
    if path:
        yield path
    parts = value.items() if isinstance(value, dict) else list(enumerate(value))[:1] if isinstance(value, list) else ()
    for key, inner in parts:
        yield from paths(inner, (*path, key))


def spoilt(values: dict[str, Any], path: tuple[Any, ...], wrong: Any) -> dict[str, Any]:
    new = copy.deepcopy({key: value for key, value in values.items() if key == path[0]})
    at: Any = new
    for step in path[:-1]:
        at = at[step]
    if wrong is DROPPED:
        del at[path[-1]]
        return {key: value for key, value in values.items() if key != path[0]} | new
    at[path[-1]] = wrong
    return values | new


def test_every_keyword_of_the_schema_is_known() -> None:
    assert set(keywords(manifest_schema())) <= KEYWORDS


def test_it_says_what_jsonschema_says(made: Hand) -> None:
    values = json.loads(json.dumps(made.manifest)) | {"hash": "0" * 64, "files": FILES}
    schema = manifest_schema()
    whole = jsonschema.Draft202012Validator(schema)
    assert list(mistakes(values, schema)) == []
    seen = set()
    for path in paths(values):
        for wrong in WRONG:
            new = spoilt(values, path, wrong)
            key = path[0]
            one = {**schema, "required": [key], "properties": {key: schema["properties"][key]}}
            own = {key: new[key]} if key in new else {}
            right = whole.evolve(schema=one).is_valid(own)
            told = list(mistakes(own, one, root=schema))
            assert (told == []) == right, (path, wrong, told)
            assert not any("\n" in line for line in told)
            seen.add(right)
    assert seen == {True, False}


@pytest.mark.parametrize(
    ("path", "wrong", "words"),
    [
        (("champion",), DROPPED, "champion: missing"),
        (("risk",), DROPPED, "risk: missing"),
        (("data", "first"), DROPPED, "data.first: missing"),
        (("data", "first"), "2024-13-01T00:00:00Z", "data.first: expected a time in UTC, got '2024-13-01T00:00:00Z'"),
        (("data", "bars"), 0, "data.bars: expected a whole number at least 1, got 0"),
        (("data", "bars"), 400.0, "data.bars: expected a whole number, got 400.0"),
        (("data", "train"), [], "data.train: expected a list of 2 items, got []"),
        (("broker", "cash"), None, "broker.cash: expected a number, got None"),
        (("broker", "calendar"), "lunar", "broker.calendar: expected none or fx or us_equity or crypto, got 'lunar'"),
        (("risk", "max_drawdown"), 1.5, "risk.max_drawdown: expected a number at most 1, got 1.5"),
        (("risk", "max_exposure"), 1e300, "risk.max_exposure: expected a number, got 1e+300"),
        (("ancestry", 0, "id"), 2**63, f"ancestry[0].id: expected a whole number, got {2**63}"),
        (("champion", "regimes"), ["all", "all"], "champion.regimes: expected a list without repetition, got"),
        (("hash",), "0" * 63, "hash: expected text of the form ^[0-9a-f]{64}$, got"),
    ],
)
def test_a_refusal_names_the_key(made: Hand, path: tuple[Any, ...], wrong: Any, words: str) -> None:
    values = spoilt(json.loads(json.dumps(made.manifest)) | {"hash": "0" * 64, "files": FILES}, path, wrong)
    (told,) = mistakes(values, manifest_schema())
    assert told.startswith(words)


@pytest.mark.parametrize("key", [key for key in manifest_schema()["required"] if key not in ("hash", "format")])
def test_no_champion_is_loaded_without_a_key_that_the_schema_requires(tmp_path: Path, made: Hand, key: str) -> None:
    path = tmp_path / "b"
    path.mkdir()
    rewrite(path, {name: value for name, value in made.manifest.items() if name != key})
    with pytest.raises(UserError, match=rf"manifest\.json: {key}: (missing|expected)") as caught:
        Champion.load(path)
    assert "\n" not in str(caught.value)


def test_a_number_beyond_every_float_is_refused(tmp_path: Path, made: Hand) -> None:
    text = json.dumps(made.manifest).replace('"max_daily_loss": 0.05', '"max_daily_loss": 1e999')
    (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"not the JSON of a manifest: '1e999' is too large"):
        Champion.load(tmp_path)
