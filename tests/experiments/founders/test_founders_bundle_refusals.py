"""Bundles that do not fit a run are refused in one line that says what would be right; what can be suited, is."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_bundles import a_copy, small_bundle
from small_runs import BOTH, arena

from experiments.configuration.compose import compose
from experiments.configuration.study import make_study
from experiments.founders.bundles import BundleSettings, found_from, open_bundles
from experiments.founders.fitting import fitted_species, see_features
from experiments.runs import founders
from experiments.runs.directory import RunDirectory
from experiments.runs.job import Job
from experiments.runs.origins import ancestors_saw
from genomes.genes import Genes
from markets.errors import UserError
from markets.features import FeatureSettings, features

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("plainly_compiled", "cache", "no_table")]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    return small_bundle(tmp_path_factory, "qnetwork")


@pytest.fixture(scope="module")
def forest(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    return small_bundle(tmp_path_factory, "forest")


def founded(path: object, *overrides: str) -> Any:
    return make_study(compose([*BOTH, "species.founders=bundle", f"bundle.path={path}", *overrides]))


def test_a_path_must_be_of_bundles_each_once(network: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^bundle.path: founders from bundles need one; name a folder that arena exp"):
        founded("null")
    with pytest.raises(UserError, match=r"^bundle.path: expected at least one folder that arena export wrote"):
        founded("[]")
    with pytest.raises(UserError, match=r"^bundle.path: .*/none: no such folder; give the folder of a bundle$"):
        founded(tmp_path / "none")
    again = shutil.copytree(network, tmp_path / "again")
    with pytest.raises(UserError, match=r"^bundle.path: .*again is the same bundle as .*; name each once$"):
        founded(f"[{network},{again}]")
    with (again / "champion.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x55")
    with pytest.raises(UserError, match=r"^bundle.path: .*champion.safetensors: not the file that the manifest names"):
        founded(again)


def test_the_command_refuses_in_one_line_and_writes_nothing(forest: Path, tmp_path: Path) -> None:
    words = [word for word in BOTH if not word.startswith("species")]
    code, said, complaint = arena(
        "evolve", *words, f"runs_dir={tmp_path / 'runs'}", "species.founders=bundle", f"bundle.path={forest}"
    )
    assert (code, said) == (2, "")
    assert (
        complaint == f"arena: bundle.path: {forest} founds forest, which takes no part; add species=[qnetwork,forest]\n"
    )
    assert not (tmp_path / "runs").exists()


def test_a_brain_needs_room(network: Path, forest: Path) -> None:
    with pytest.raises(
        UserError, match=rf"^bundle.path: {network} has hidden layers of \[4\]; right is species.qnetwork.hidden=\[4\]$"
    ):
        founded(network, "species.qnetwork.hidden=[5]")
    with pytest.raises(
        UserError,
        match=rf"^bundle.path: {forest} needs more room than there is; right is species.forest.depth=2 "
        r"species.forest.market_trees=3$",
    ):
        founded(forest, "species.forest.depth=1", "species.forest.market_trees=2")
    assert founded(forest).config["species"]["forest"]["layout"] == "oblivious", "kept, for whoever goes on"
    assert founded(forest, "species.forest.layout=ordinary", "species.forest.depth=3").settings.species["forest"]


def test_the_layout_is_that_of_the_champions_unless_somebody_named_one() -> None:
    def given(layout: str, depth: int = 2) -> dict[str, Any]:
        return {"depth": depth, "market_trees": 3, "state_trees": 1, "layout": layout}

    assert fitted_species("forest", None, [("x", given("ordinary"))]) == {"layout": "ordinary"}
    assert fitted_species("forest", {}, [("x", given("oblivious")), ("y", given("ordinary"))])["layout"] == "ordinary"
    assert fitted_species("forest", {"layout": "ordinary"}, [("x", given("oblivious"))])["layout"] == "ordinary"
    with pytest.raises(UserError, match=r"^bundle.path: y needs .*; right is species.forest.depth=6 species.forest.la"):
        fitted_species("forest", {"layout": "oblivious"}, [("x", given("oblivious")), ("y", given("ordinary", 6))])
    with pytest.raises(
        UserError, match=r"^bundle.path: y has hidden layers of \[8\]; right is one size: x has \[32, 32"
    ):
        fitted_species("qnetwork", None, [("x", {"hidden": [32, 32]}), ("y", {"hidden": [8]})])
    assert fitted_species("qnetwork", None, []) is None


@pytest.mark.parametrize(
    ("there", "here", "says"),
    [
        ({}, {"returns": (1, 8)}, r"return_4 and this run does not; right is features.returns=\[1,4,8,16,64\]$"),
        ({"rsi": (21,)}, {}, r"rsi_21 and this run does not; right is features.rsi=\[14,21\]$"),
        ({}, {"macd": False}, "macd_12_26_9 and this run does not; right is features.macd=true$"),
        ({}, {"clock": False}, "hour_sin and this run does not; right is features.clock=true$"),
        ({}, {"lookback": 32}, "return_64 over 65 bars, and this run over 32; right is features.lookback=null$"),
        ({"lookback": 32}, {}, "return_64 over 32 bars, and this run over 65; right is features.lookback=32$"),
        (
            {"macd_slow": 30, "macd_signal": 7},
            {},
            "macd_12_30_7 and this run does not; right is features.macd_slow=30 features.macd_signal=7$",
        ),
    ],
)
def test_a_feature_is_its_name_and_its_window(there: dict[str, Any], here: dict[str, Any], says: str) -> None:
    wanted = FeatureSettings(**there)
    listed = [{"name": feature.name, "window": feature.window} for feature in features(wanted)]
    seen = {"settings": there, "columns": [], "list": listed}
    with pytest.raises(UserError, match=f"^x sees {says}"):
        see_features(seen, FeatureSettings(**here), "x")
    see_features(seen, wanted, "x")
    more = FeatureSettings(**{**there, "bollinger": (20, 40)})
    see_features({**seen, "columns": ["funding"], "list": [{"name": "funding", "window": 1}, *listed]}, more, "x")


def test_genes_are_held_to_the_ranges_of_the_run_and_what_is_clipped_is_said(network: Path) -> None:
    job = Job(founded(network, "genes.size=[0.05,0.1]", "seed=3"))
    (bundle,) = open_bundles(BundleSettings(str(network)))
    made = found_from([bundle], job.study.settings, job.market, job.plan)
    place = job.plan.names.index("qnetwork")
    genes = made.genes[place]
    assert genes is not None
    assert made.genes[1 - place] is made.brains[1 - place] is None, "who has no bundle is drawn"
    for name, own in zip(Genes._fields, genes, strict=True):
        wanted = bundle.leaves[f"genes.{name}"] if name != "size" else np.float32(0.1)
        np.testing.assert_array_equal(own, [wanted])
    agent = bundle.line[-1].id
    assert any(note.startswith(f"qnetwork {agent}: its size of ") for note in made.notes)
    assert any("beyond genes.size=[0.05,0.1]: 0.1 here" in note for note in made.notes)
    many = [bundle] * 17
    with pytest.raises(
        UserError, match=r"^bundle.path: 17 bundles for 16 founders of qnetwork; right is .*agents=18 or"
    ):
        found_from(many, job.study.settings, job.market, job.plan)


@pytest.mark.parametrize("words", [("market.bars=1500",), ("market.bars=1500", "seed=3")])
def test_a_holdout_that_ancestors_were_bred_on_is_said_and_kept(
    network: Path,
    words: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A shorter run of the same made-up market holds out bars that the champion was trained on."""
    job, run = Job(founded(network, *words)), RunDirectory(tmp_path / "run")
    run.create({})
    monkeypatch.setattr(founders, "found", lambda *_: None)  # what they become takes long to compile
    market = (job.study, job.plan, job.market, run, job.supply.bars)
    first = json.loads((network / "manifest.json").read_text())["champion"]["run_id"]
    line = f"note: ancestors in {first} were bred on bars of this run's holdout, so it is not unseen"
    for _ in ("made", "as they were made"):
        founders.founded(*market)
        assert (line in " ".join(capsys.readouterr().out.split())) is (len(words) == 1)
    assert ancestors_saw(run) == list(open_bundles(BundleSettings(str(network)))[0].seen)


def test_a_bundle_with_actions_that_are_not_known_is_refused(network: Path, tmp_path: Path) -> None:
    from agents.live.bundle import canonical_hash

    path = a_copy(network, tmp_path)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["actions"]["names"] = ["neutral", "sell", "buy"]
    manifest["hash"] = canonical_hash(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(
        UserError, match=r"^bundle.path: .*: its actions are neutral, sell, buy; right is neutral, buy, "
    ):
        founded(path)
