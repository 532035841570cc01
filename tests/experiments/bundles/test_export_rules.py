"""A bundle holds a member of the certificate as it was judged, or says why not; the router is one too."""

import json
import shutil
import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from small_bundles import small_run
from small_runs import arena

sys.path.append(str(Path(__file__).resolve().parents[2] / "agents" / "live"))

from hand_bundles import rewrite

from agents.live import Champion
from agents.live.bundle import read_bundle
from arena.schemas import REGIME_NAMES
from experiments.bundles import golden
from experiments.bundles.acting import as_bred
from experiments.bundles.export import export
from experiments.bundles.handing import handed_on, look_up
from experiments.bundles.manifest import _certificate as _told
from experiments.bundles.verify import _certificate, verify
from experiments.certificates.family import MEMBERS, champion_hashes
from experiments.certificates.reading import certificate_hash
from experiments.champions.champions import find_champion
from experiments.champions.world import World, alone, load_world
from experiments.commands.paper import _see_certificate
from experiments.configuration.study import Study
from experiments.runs.champions import best_scores
from experiments.runs.directory import RunDirectory
from markets.errors import UserError

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("plainly_compiled")]


def _held(run: RunDirectory) -> list[str]:
    return [regime for regime, _ in best_scores(run)]


def certify(run: RunDirectory, rules: Mapping[str, Any], verdicts: Mapping[str, str]) -> dict[str, Any]:
    """Write the certificate that somebody might have given, of the champions of now."""
    family = []
    for member in MEMBERS:
        own = find_champion(run, member) if member in _held(run) else None
        family.append(
            {
                "member": member,
                "id": own and own.id,
                "generation": own and own.generation,
                "species": own and own.species,
                "rule": rules.get(member),
                "verdict": verdicts.get(member, "fail"),
                "reasons": [f"{member} lost 3.0 % a year"],
            }
        )
    values: dict[str, Any] = {
        "format": "lineage-arena.certificate",
        "version": "1.0",
        "run_id": str(run.read_manifest()["run_id"]),
        "verdict": "fail",
        "level": {"alpha": 0.02, "opening": 1, "used": 0.02},
        "champions": champion_hashes(run, 1, 1),
        "family": family,
    }
    values["hash"] = certificate_hash(values)
    (run.root / "certificate.json").write_text(json.dumps(values), encoding="utf-8")
    return values


def rule_of(run: RunDirectory, group: str, **changes: Any) -> dict[str, Any]:
    """A choice of the grid, as a certificate has it: of a champion alone, unless more is said."""
    own = find_champion(run, group)
    usual = {"ensemble": "alone", "lookback": None, "average": 1, "threshold": 0.0, "gap": 0.0}
    return {**usual, "groups": [group], "brains": [own.id], "weights": [[1.0]] * 4, **changes}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run whose certificate has every kind of rule."""
    root = tmp_path_factory.mktemp("certified") / "run"
    made = RunDirectory(Path(shutil.copytree(small_run(tmp_path_factory).root, root)))
    held = [group for group in _held(made) if group != "all"]
    groups = [*held, "all"]
    ids = [find_champion(made, group).id for group in groups]
    mixed = {"ensemble": "mean", "groups": groups, "brains": ids, "weights": [[1.0 / len(ids)] * len(ids)] * 4}
    kinds = [{"gap": 0.01, "threshold": 0.4}, {"lookback": 8, "average": 4}, mixed]
    rules = {group: rule_of(made, group, **kind) for group, kind in zip(held, kinds, strict=False)}
    assert len(rules) > 1
    certify(made, rules, {"router": "fail", "all": "insufficient"})
    return made


@pytest.fixture(scope="module")
def study(run: RunDirectory) -> Study:
    return alone(run.read_config())


@pytest.fixture(scope="module")
def world(run: RunDirectory, study: Study) -> World:
    return load_world(study, run.read_manifest()["data_hash"])


@pytest.fixture(scope="module")
def router(run: RunDirectory, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    notes: list[str] = []
    out = tmp_path_factory.mktemp("router") / "bundle"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(golden, "DECISIONS", 100)
        return export(run, "router", out, note=notes.append), notes


def manifest_of(bundle: Path) -> dict[str, Any]:
    return dict(json.loads((bundle / "manifest.json").read_text(encoding="utf-8")))


def test_a_router_repeats_the_arena_s_decisions_by_every_runner(router: tuple[Path, list[str]]) -> None:
    bundle, notes = router
    manifest = manifest_of(bundle)
    assert (manifest["version"], manifest["inference"]["who"]) == ("2.0", "router")
    assert not as_bred(manifest["inference"])
    assert len(manifest["inference"]["brains"]) > 1
    checks = {(check.part, check.name): check for check in verify(bundle)}
    assert not [check for check in checks.values() if check.ok is False]
    assert checks["own runner", "orders"].ok
    assert checks["installed runner", "values"].ok
    assert checks["bundle", "certificate"].ok
    assert (checks["bundle", "model"].ok, checks["onnxruntime", "decisions"].ok) == (None, None)
    assert notes[0] == "certificate: the router FAILED: router lost 3.0 % a year"
    assert [note.partition(":")[0] for note in notes[1:]] == ["without model.onnx", "without mt5/"]
    page = (bundle / "README.md").read_text(encoding="utf-8")
    assert page.startswith("# Router of run ")
    for told in (
        "## How it decides",
        "the router FAILED",
        "There is no `model.onnx`",
        "`brains/`",
        "`certificate.json`",
    ):
        assert told in page


def test_another_certificate_than_the_manifest_tells_of_is_found(
    router: tuple[Path, list[str]], tmp_path: Path
) -> None:
    bundle = Path(shutil.copytree(router[0], tmp_path / "b"))
    manifest = manifest_of(bundle)
    manifest["certificate"]["member_verdict"] = "pass"
    rewrite(bundle, manifest)
    (wrong,) = _certificate(read_bundle(bundle))
    assert (wrong.ok, wrong.detail) == (
        False,
        "certificate.member_verdict of the manifest is not that of certificate.json",
    )


def test_onnx_is_refused_where_several_brains_decide(router: tuple[Path, list[str]]) -> None:
    with pytest.raises(UserError, match=r"^backend: 'onnx' has one brain, .* decides by \d; use backend='numpy'$"):
        Champion.load(router[0], backend="onnx")


def test_paper_asks_before_it_trades_what_failed(router: tuple[Path, list[str]], tmp_path: Path) -> None:
    bundle, symbol = router[0], manifest_of(router[0])["instrument"]["symbol"]
    words = ("paper", str(bundle), "--bars", str(tmp_path / f"{symbol}.csv"), "--out", str(tmp_path / "account"))
    code, _, said = arena(*words)
    assert (code, said.count("\n")) == (2, 1)
    assert "the router FAILED: router lost 3.0 % a year; --uncertified trades it on paper all the same" in said
    assert not (tmp_path / "account").exists()
    code, _, said = arena(*words, "--uncertified")
    assert code == 2
    assert "FAILED" not in said


def test_a_member_is_handed_on_as_it_was_judged(run: RunDirectory, study: Study, world: World) -> None:
    regime = next(group for group in _held(run) if group != "all")
    who = look_up(run, study, regime, None, None)
    assert (who.member, who.note, who.certificate is not None) == (regime, "", True)
    block = handed_on(run, who, world).block
    assert block is not None
    assert [name for name, rule in block["regimes"].items() if rule["acts"]] == [regime]
    assert block["regimes"][regime]["threshold"] == pytest.approx(0.01)
    whole = look_up(run, study, "all", None, None)
    assert handed_on(run, whole, world).block is None, "the all-rounder was judged as it was bred"
    assert whole.certificate is not None


def test_plain_is_as_bred_and_brings_the_certificate_along(run: RunDirectory, study: Study, world: World) -> None:
    """It says whether what was judged acted so; nobody trades a failure by calling it plain."""
    regime = next(group for group in _held(run) if group != "all")
    for group, same in (("all", True), (regime, False)):
        who = look_up(run, study, group, None, "plain")
        assert handed_on(run, who, world).block is None
        assert (who.certificate is not None, who.as_judged) == (True, same)
    own = _told(who)
    assert own is not None
    assert (own["member"], own["member_verdict"], own["as_judged"]) == (regime, "fail", False)
    said = rf"FAILED, judged acting otherwise than here: {regime} lost 3.0 % a year; --uncertified trades it"
    with pytest.raises(UserError, match=said):
        _see_certificate(Namespace(bundle="b", uncertified=False), {"certificate": own})
    who = look_up(run, study, "router", None, "plain")
    assert not who.as_judged
    block = handed_on(run, who, world).block
    assert block is not None
    assert {name for name, rule in block["regimes"].items() if rule["acts"]} == set(_held(run)) - {"all"}
    assert {rule["threshold"] for rule in block["regimes"].values()} == {0.0}


def test_a_plain_rule_that_was_chosen_is_as_bred(run: RunDirectory, study: Study, tmp_path: Path) -> None:
    other = RunDirectory(Path(shutil.copytree(run.root, tmp_path / "run")))
    certify(other, {group: rule_of(other, group) for group in _held(other)}, {})
    assert all(look_up(other, study, who, None, "plain").as_judged for who in ("all", "router"))
    certify(other, {"all": rule_of(other, "all", average=4)}, {})
    assert [look_up(other, study, who, None, "plain").as_judged for who in ("all", "router")] == [False, True]
    (other.root / "certificate.json").unlink()
    assert look_up(other, study, "all", None, "plain").certificate is None


def test_a_certificate_of_others_stays_behind_and_that_is_said(run: RunDirectory, study: Study, tmp_path: Path) -> None:
    other = RunDirectory(Path(shutil.copytree(run.root, tmp_path / "run")))
    values = json.loads((other.root / "certificate.json").read_text(encoding="utf-8"))
    values["champions"] = dict.fromkeys(values["champions"], "0" * 64)
    values["hash"] = certificate_hash(values)
    (other.root / "certificate.json").write_text(json.dumps(values), encoding="utf-8")
    who = look_up(other, study, "all", None, None)
    assert who.certificate is None
    assert who.note == "the run's certificate does not come along: it is of earlier champions than those of now"
    with pytest.raises(UserError, match=r"^--rule certified: it is of earlier champions .*, or --rule plain$"):
        look_up(other, study, "all", None, "certified")
    (other.root / "certificate.json").unlink()
    assert look_up(other, study, "all", None, None).note == ""
    with pytest.raises(UserError, match="has no certificate; arena certify"):
        look_up(other, study, "all", None, "certified")


def test_an_agent_named_by_its_id_is_the_member_that_it_is(run: RunDirectory, study: Study) -> None:
    held = {name: find_champion(run, name).id for name in REGIME_NAMES if name in _held(run)}
    for identity in (held["all"], next(own for own in held.values() if own != held["all"])):
        who = look_up(run, study, str(identity), None, None)
        assert who.member == ("all" if identity == held["all"] else who.member)
        assert held[str(who.member)] == identity
