"""A bundle is refused unless it is whole, in one line that names the file or the key."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hand_bundles import Hand, hand_bundle, rewrite
from safetensors.numpy import load_file, save_file

from agents.live import Champion
from agents.live.bundle import canonical_hash
from markets.errors import UserError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Hand:
    return hand_bundle(tmp_path_factory.mktemp("bundles") / "b", "forest", settings={"depth": 2})


@pytest.fixture
def bundle(made: Hand, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made.path, tmp_path / "b"))


def refusal(bundle: Path) -> str:
    """The line a bundle is refused with, less the folder's name."""
    with pytest.raises(UserError) as caught:
        Champion.load(bundle)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{bundle}{os.sep}", "")


def manifest_of(bundle: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    return values


def refile(bundle: Path, name: str = "champion.safetensors") -> None:
    """Make the manifest right about a file that was changed."""
    import hashlib

    values, data = manifest_of(bundle), (bundle / name).read_bytes()
    values["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    rewrite(bundle, values)


def test_a_whole_bundle_is_read_wherever_it_lies(bundle: Path, tmp_path: Path) -> None:
    os.symlink(bundle, tmp_path / "link", target_is_directory=True)
    (bundle / "__pycache__").mkdir()
    champion = Champion.load(tmp_path / "link")
    assert champion.manifest["champion"]["id"] == 12
    assert champion.manifest["hash"] == canonical_hash(champion.manifest)


def test_every_changed_byte_is_refused(bundle: Path) -> None:
    rng = np.random.default_rng(0)
    for name in sorted(path.name for path in bundle.iterdir()):
        whole = (bundle / name).read_bytes()
        places = {0, len(whole) - 1, *rng.integers(0, len(whole), 12).tolist()}
        for place in places:
            (bundle / name).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            # Blanks around the JSON of a manifest say nothing, so another blank there would; a flipped bit does not.
            assert name in refusal(bundle), (name, place)
        (bundle / name).write_bytes(whole[:-2])
        assert name in refusal(bundle)
        (bundle / name).write_bytes(whole)
    Champion.load(bundle)


@pytest.mark.parametrize("name", ["champion.safetensors", "README.md", "manifest.json"])
def test_a_missing_file_is_named(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    assert refusal(bundle) == f"{name}: missing; a bundle is moved as a whole"


@pytest.mark.parametrize("name", ["champion.safetensors", "README.md", "manifest.json"])
def test_a_link_is_no_file_of_a_bundle(bundle: Path, name: str) -> None:
    (bundle / name).rename(bundle / "elsewhere")
    (bundle / name).symlink_to(bundle / "elsewhere")
    assert refusal(bundle) == f"{name}: expected a plain file"


def test_a_linked_folder_is_not_followed(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.py").write_bytes(b"")
    (bundle / "runner").symlink_to(tmp_path / "outside", target_is_directory=True)
    values = manifest_of(bundle)
    values["files"]["runner/x.py"] = {"sha256": "0" * 64, "bytes": 0}
    rewrite(bundle, values)
    assert refusal(bundle) == "runner: a link; a bundle holds its files themselves"


@pytest.mark.parametrize(
    "name", ["../b/README.md", "/etc/hostname", "runner/../../x", "a\\b", "C:x", "", ".", "..", "manifest.json", "a//b"]
)
def test_a_file_outside_the_bundle_is_refused(bundle: Path, name: str) -> None:
    values = manifest_of(bundle)
    values["files"][name] = {"sha256": "0" * 64, "bytes": 0}
    rewrite(bundle, values)
    assert refusal(bundle).endswith("is no name of a file inside the bundle")


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere: no such folder; give the folder of a bundle$"):
        Champion.load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not the JSON of a manifest"),
        ("[" * 100_000, "not the JSON of a manifest"),
        ('{"a": NaN}', "NaN is no JSON"),
        ('{"a": 1, "a": 1}', "a key stands twice in one group"),
        ('{"a": ' + "9" * 5000 + "}", "not the JSON of a manifest"),
        ("[1]", "expected a group of keys, got [1]"),
        ("{}", "format: expected lineage-arena.bundle, got None"),
        ("\udcff", "not the JSON of a manifest"),
    ],
)
def test_a_manifest_that_is_none(bundle: Path, text: str, words: str) -> None:
    (bundle / "manifest.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert words in refusal(bundle)


def _set(*path: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(values: Any) -> None:
        for step in path[:-1]:
            values = values[step]
        values[path[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_set("version", to="3.0"), "version: '3.0' cannot be read; this runner reads versions 1 and 2"),
        (_set("version", to=1.0), "version: expected 1 or 2 and a minor number, such as 1.0, got 1.0"),
        (_set("version", to="1.x"), "version: expected 1 or 2 and a minor number"),
        (_set("warm_up", to=10), "warm_up: 10 bars must be at least 282"),
        (_set("warm_up", to=None), "warm_up: expected a whole number, got None"),
        (_set("species", "name", to="oracle"), "species.name: 'oracle' is not one of qnetwork, forest"),
        (_set("species", "settings", "depth", to=3), "champion.safetensors: genome.market.feature: expected int32"),
        (_set("species", "settings", to={}), "species.settings.layout: expected oblivious or ordinary"),
        (_set("species", "settings", "depth", to=True), "species.settings.depth: expected a whole number from 1 to 16"),
        (_set("features", "clip", to=0), "features.clip: 0.0 must be above 0.0"),
        (_set("features", "settings", "returns", to=[1]), "features.list: not what features.settings make here"),
        (_set("features", "settings", "later", to=1), "features.settings.later: unknown key"),
        (_set("features", "list", 0, "scale", to=0.0), "features.list[0].scale: 0.0 must be above 0.0"),
        (_set("features", "list", 0, "centre", to=None), "features.list[0].centre: expected a number, got None"),
        (_set("features", "list", to={}), "features.list: expected a list, got {}"),
        (_set("regimes", "names", to=["one"]), "regimes.names: expected bull_trending"),
        (_set("clock", "zone", to="CET"), "clock.zone: 'CET' is not one of UTC"),
        (_set("clock", "shortest", to=0), "clock.shortest: 0.0 must be above 0.0"),
        (_set("clock", to=3), "clock: expected a group of keys, got 3"),
        (_set("actions", "exposures", to=[0.0]), "actions: expected two names at least and an exposure for each"),
        (_set("account_view", to=["position"]), "account_view: expected position, unrealised, drawdown, holding"),
        (_set("genes", "size", to=0.123), "genes.size: "),
        (_set("files", to=[]), "files: expected a list of files with champion.safetensors among them"),
        (_set("files", "README.md", to=3), "files.README.md.bytes: expected a whole number"),
        (_set("files", "README.md", "bytes", to=2**60), "files.README.md.bytes: expected a whole number"),
        (_set("files", "README.md", "bytes", to=2**28), "files: together they are above 268,435,456 bytes"),
        (_set("files", "README.md", "sha256", to="x"), "files.README.md.sha256: expected 64 hexadecimal digits"),
    ],
)
def test_a_manifest_that_cannot_be_acted_on(bundle: Path, change: Callable[[dict[str, Any]], None], words: str) -> None:
    values = manifest_of(bundle)
    change(values)
    rewrite(bundle, values)
    assert words in refusal(bundle)


def test_a_later_minor_version_may_say_more(bundle: Path) -> None:
    values = manifest_of(bundle)
    values |= {"version": "1.7", "novelty": {"a": 1}}
    values["clock"]["holidays"] = []
    rewrite(bundle, values)
    Champion.load(bundle)


def test_a_manifest_changed_by_hand_is_refused(bundle: Path) -> None:
    text = (bundle / "manifest.json").read_text(encoding="utf-8")
    (bundle / "manifest.json").write_text(text.replace('"max_drawdown": 0.2', '"max_drawdown": 0.9'), encoding="utf-8")
    assert refusal(bundle) == "manifest.json: hash: not that of the file; it was changed after it was written"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("genome.bias", None, "genome.bias: missing"),
        ("genome.bias", np.zeros(3), "genome.bias: expected float32 [3], got float64 [3]"),
        ("genome.bias", np.full(3, np.nan, np.float32), "genome.bias: expected finite numbers"),
        ("genome.state.leaf", np.zeros((1, 2, 3), np.float32), "genome.state.leaf: expected float32 [4, 4, 3]"),
        ("genome.market.feature", np.full((12, 2), 99, np.int32), "expected inputs from 0 to 14"),
        ("genome.state.feature", np.full((4, 2), -1, np.int32), "expected inputs from 0 to 18"),
        ("trust", np.zeros(5, np.float32), "trust: expected float32 [4], got float32 [5]"),
        ("memory.features", np.zeros((4, 2), np.float32), "memory.features: expected float32 [4, 15]"),
    ],
)
def test_tensors_that_do_not_fit(bundle: Path, name: str, value: Any, words: str) -> None:
    tensors = load_file(bundle / "champion.safetensors")
    if value is None:
        del tensors[name]
    else:
        tensors[name] = value
    save_file(tensors, bundle / "champion.safetensors")
    refile(bundle)
    assert words in refusal(bundle)


def test_tensors_that_are_none(bundle: Path) -> None:
    (bundle / "champion.safetensors").write_bytes(b"\xff" * 100)
    refile(bundle)
    assert refusal(bundle).startswith("champion.safetensors: not a file of tensors: ")


def test_thresholds_may_be_anything(bundle: Path) -> None:
    tensors = load_file(bundle / "champion.safetensors")
    tensors["genome.market.threshold"] = np.full((12, 2), np.nan, np.float32)
    save_file(tensors, bundle / "champion.safetensors")
    refile(bundle)
    Champion.load(bundle)


def test_an_unknown_backend_and_a_model_that_is_not_there(bundle: Path) -> None:
    with pytest.raises(UserError, match=r"^backend: 'torch' is not one of numpy, onnx$"):
        Champion.load(bundle, backend="torch")
    with pytest.raises(UserError, match=r"manifest\.json: files: model\.onnx is missing$"):
        Champion.load(bundle, backend="onnx")


def test_what_is_no_bar_raises_one_line_where_types_are_not_checked(made: Hand) -> None:
    """In this process they are, before the runner sees anything."""
    bar = "bar: expected a Bar, or a mapping with timestamp and prices"
    wanted = {
        "Bar(0, None, P)": "bar: bid: expected open, high, low, close, got None",
        "Bar(0, P, 1.5)": "bar: ask: expected open, high, low, close, got 1.5",
        "Bar(0, P, numpy.asarray(1.5))": "bar: ask: expected open, high, low, close, got 1.5",
        "Bar(0, P, [P] * 4)": "bar: ask: expected a number, got (1, 1, 1, 1)",
        "Bar(0, P, P, 0, [1])": "bar: columns: expected a mapping of names to numbers, got [1]",
        "Bar.from_mapping(3)": "bar: expected a mapping with timestamp and prices, got 3",
        "champion.on_bar(3, {'equity': 1, 'units': 0})": f"{bar}, got 3",
        "champion.on_bar(Bar(0, P, P), 3)": "account: expected an Account, or a mapping with equity and units, got 3",
        "champion.warm_up(['time'])": f"{bar}, got 'time'",
        "champion.warm_up({})": "warm_up: expected Bars or several of Bar, older first, got {}",
        "champion.warm_up(3)": "warm_up: expected Bars or several of Bar, older first, got 3",
    }
    code = "import numpy; from agents.live import Bar, Champion; from markets.errors import UserError; P = (1,) * 4\n"
    code += f"champion = Champion.load({str(made.path)!r})\n"
    code += "".join(f"try: {call}\nexcept UserError as error: print(error)\n" for call in wanted)
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (told.stdout.splitlines(), told.stderr) == (list(wanted.values()), "")


def test_a_bot_loads_neither_jax_nor_tables(made: Hand) -> None:
    code = (
        "import sys; from agents.live import Account, Bar, Champion; "
        f"champion = Champion.load({str(made.path)!r}); "
        "champion.on_bar(Bar(0, (1, 1, 1, 1), (1, 1, 1, 1)), Account(1.0, 0.0)); "
        "print(*sorted({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    loaded = {name for name in result.stdout.split() if not name.startswith("_")}
    assert loaded <= {"agents", "markets", "numpy", "safetensors"}


def _rules(**changes: Any) -> Callable[[dict[str, Any]], None]:
    """Put decision rules into a manifest; a change of `brains` or `version` replaces it, others are of one regime."""

    def change(values: dict[str, Any]) -> None:
        brain = {"id": 12, "generation": 3, "file": "champion.safetensors"}
        brain |= {"species": values["species"]["name"], "settings": values["species"]["settings"]}
        rule = {"acts": True, "own": 0, "weights": [1.0], "threshold": 0.0, "average": 1, "lookback": None}
        names = values["regimes"]["names"][:-1]
        regimes = {name: {**rule, **({} if place else changes.get("first", {}))} for place, name in enumerate(names)}
        values["version"] = changes.get("version", "2.0")
        values["inference"] = {
            "who": "all",
            "brains": changes.get("brains", lambda own: [own])(brain),
            "regimes": regimes,
        }
        for name in changes.get("without", ()):
            del regimes[name]

    return change


def test_rules_are_read(bundle: Path) -> None:
    values = manifest_of(bundle)
    _rules()(values)
    rewrite(bundle, values)
    assert Champion.load(bundle).manifest["inference"]["who"] == "all"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_rules(version="1.1"), "version: 1.1 has no decision rules (inference); right is 2.0"),
        (_rules(first={"own": 1}), "inference.regimes.bull_trending.own: 1 is none of the 1 brains"),
        (_rules(first={"weights": [1.0, 0.0]}), "inference.regimes.bull_trending.weights: expected one for each of 1"),
        (_rules(first={"average": 17}), "inference.regimes.bull_trending.average: 17 must be at most 16"),
        (_rules(first={"threshold": -1.0}), "inference.regimes.bull_trending.threshold: -1.0 must be at least 0"),
        (_rules(first={"novelty": 1}), "inference.regimes.bull_trending.novelty: unknown key"),
        (_rules(without=["calm_ranging"]), "inference.regimes: expected bull_trending, bear_trending"),
        (_rules(brains=lambda own: []), "inference.brains: expected champion.safetensors first"),
        (_rules(brains=lambda own: [own, own]), "a file of its own for each"),
        (_rules(brains=lambda own: [{**own, "species": "qnetwork"}]), "inference.brains[0].settings.hidden"),
        (_rules(brains=lambda own: [{**own, "settings": {**own["settings"], "depth": 3}}]), "not the species of the"),
    ],
)
def test_rules_that_cannot_be_are_refused(bundle: Path, change: Callable[[dict[str, Any]], None], words: str) -> None:
    values = manifest_of(bundle)
    change(values)
    rewrite(bundle, values)
    assert words in refusal(bundle)


def test_a_brain_that_is_not_there_is_missed(bundle: Path) -> None:
    values = manifest_of(bundle)
    _rules(brains=lambda own: [own, {**own, "file": "brains/4-1.safetensors"}])(values)
    for rule in values["inference"]["regimes"].values():
        rule["weights"] = [1.0, 0.0]
    rewrite(bundle, values)
    assert "inference.brains[1].file: brains/4-1.safetensors is missing from files" in refusal(bundle)
