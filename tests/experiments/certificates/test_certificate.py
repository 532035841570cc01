"""A small run certified end to end: once, again, killed half-way, beside another run, and on bars that were changed."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import polars as pl
import pytest
from small_bundles import small_run
from small_runs import arena

from experiments.certificates import certificate as module
from experiments.certificates.certificate import Given, certify
from experiments.certificates.openings import LOG, read_openings
from experiments.certificates.reading import SCHEMA, certificate_hash, certificate_path, put_aside, read_certificate
from experiments.inference.rules import Choice
from experiments.runs.directory import RunDirectory
from experiments.runs.retention import holdings
from markets.errors import UserError
from markets.source import Supply

pytestmark = pytest.mark.usefixtures("plainly_compiled")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, plainly_compiled: None) -> Path:
    """A folder of runs with one run in it."""
    folder = tmp_path_factory.mktemp("certified") / "runs"
    shutil.copytree(small_run(tmp_path_factory).root, folder / "first")
    return folder


@pytest.fixture(scope="module")
def given(home: Path) -> Given:
    return certify(RunDirectory(home / "first"), plain=True)


@pytest.fixture
def another(home: Path, given: Given, tmp_path: Path) -> RunDirectory:
    """The run and its certificate in a folder of its own, to be changed."""
    shutil.copytree(home, tmp_path / "runs")
    return RunDirectory(tmp_path / "runs" / "first")


def test_a_certificate_keeps_to_its_schema_and_its_hash(given: Given) -> None:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    values = json.loads(given.path.read_text())
    jsonschema.validate(values, schema, cls=jsonschema.Draft202012Validator)
    assert values["hash"] == certificate_hash(values)
    assert read_certificate(given.path) == values == given.values


def test_what_it_says_is_what_the_run_left(given: Given, home: Path) -> None:
    values, run = given.values, RunDirectory(home / "first")
    births, fitness = run.read("births"), run.read("fitness")
    assert values["run_id"] == run.read_manifest()["run_id"]
    assert values["holdout"]["data_hash"] == run.read_manifest()["data_hash"]
    assert values["trials"]["training"]["raw"] == births.height
    tried = fitness.filter(pl.col("split") == "validation")["id"].n_unique()
    assert values["trials"]["validation"]["candidates"] == tried
    assert values["trials"]["holdout"]["raw"] == 6
    held = dict(run.read("archive").select("regime", "id").rows())  # the last of each
    assert {own["member"]: own["id"] for own in values["family"]} == {**held, "router": None}
    assert values["level"] == {"alpha": 0.02, "opening": 1, "used": 0.02}
    assert values["verdict"] == "insufficient"
    assert "days where 250 are needed" in values["family"][4]["reasons"][0]
    curves = values["curves"]
    assert all(
        len(own["equity"]) == len(curves["day"]) == len(curves["buy_and_hold"]) for own in curves["members"].values()
    )
    for own in values["family"]:
        total = own["metrics"]["1"]["total_return"]
        assert curves["members"][own["member"]]["equity"][-1] == pytest.approx(1 + total)


def test_births_kept_at_random_say_how_many_differed(given: Given) -> None:
    training = given.values["trials"]["training"]
    assert 1 <= training["effective"] <= training["active"] <= training["raw"]
    assert set(training["deflated"]) == {"2012", "2025"}
    luck = given.values["luck"]["records"]["training"]
    assert sum(luck["counts"]) == pytest.approx(10_000)
    assert luck["edges"][0] <= luck["observed"] <= luck["edges"][-1]
    assert luck["of"] == training["effective"]
    middles = (np.asarray(luck["edges"][1:]) + luck["edges"][:-1]) / 2
    assert np.average(middles, weights=luck["counts"]) == pytest.approx(luck["expected"], rel=0.15)


def test_the_log_has_the_line(given: Given, home: Path) -> None:
    (line,) = read_openings(home)
    assert (line.run_id, line.opening, line.level) == (given.values["run_id"], 1, 0.02)
    assert given.values["made"] == line.time
    assert {first for first, _ in line.spans.values()} == {given.values["holdout"]["first"]}
    assert line.champions == given.values["champions"]


def test_asked_again_it_is_given_again(another: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load_supplies", _never)  # not even bars are read
    before, log = certificate_path(another).read_bytes(), (another.root.parent / LOG).read_bytes()
    again = certify(another, plain=True)
    assert again.again
    assert again.values["plain"]
    with pytest.raises(
        UserError, match=r"act as bred.*is another opening.*rename that file to certificate-opening-1\."
    ):
        certify(another)
    assert certificate_path(another).read_bytes() == before
    assert (another.root.parent / LOG).read_bytes() == log


def test_lost_or_killed_half_way_it_is_judged_again_to_the_same_certificate(
    another: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, log = certificate_path(another), another.root.parent / LOG
    whole, lines = path.read_bytes(), log.read_bytes()
    path.unlink()
    with monkeypatch.context() as patch:  # the line is on disk; then the power goes
        patch.setattr(module, "perform", _never)
        with pytest.raises(KeyboardInterrupt):
            certify(another, plain=True)
    assert not path.exists()
    certify(another, plain=True)
    assert path.read_bytes() == whole
    assert log.read_bytes() == lines


def test_nothing_is_prepared_before_the_line_is_on_disk(another: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate_path(another).unlink()
    log = another.root.parent / LOG
    log.unlink()
    monkeypatch.setattr(module, "prepare_ground", _never)
    with pytest.raises(KeyboardInterrupt):
        certify(another, plain=True)
    assert [line.opening for line in read_openings(another.root.parent)] == [1]
    log.unlink()
    log.mkdir()  # it cannot be written: then nothing may be read
    with pytest.raises(OSError, match=LOG):
        certify(another, plain=True)


def test_a_second_run_on_the_same_bars_is_the_second_opening(another: RunDirectory) -> None:
    second = RunDirectory(another.root.parent / "second")
    shutil.copytree(another.root, second.root)
    certificate_path(second).unlink()
    second.note(run_id="0123456789ab")
    code, said, wrong = arena("certify", str(second.root), "--plain")
    assert (code, wrong) == (0, "")
    values = read_certificate(certificate_path(second))
    assert values["level"] == {"alpha": 0.02, "opening": 2, "used": pytest.approx(6 * 0.02 / (np.pi**2 * 4))}
    assert [own["run_id"] for own in values["openings"]] == [
        read_openings(second.root.parent)[0].run_id,
        "0123456789ab",
    ]
    assert values["trials"]["holdout"]["raw"] == 12
    assert "have been looked at once before" in said
    assert said.splitlines()[-1] == str(certificate_path(second))
    assert max(map(len, said.splitlines()[:-1])) <= 120


def test_choices_of_the_grid_are_how_champions_are_judged(
    another: RunDirectory, given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = Choice("alone", None, 1, 0.9, 1e9, ("all",), (given.values["family"][4]["id"],), ((1.0,),) * 4)
    monkeypatch.setattr(module, "run_grid", lambda directory, **how: None)
    monkeypatch.setattr(module, "read_choices", lambda directory, replicate, fold: {"all": never})
    monkeypatch.setattr(module, "settings_tried", lambda directory, replicate, fold: 1600)
    former = {**given.values, "champions": {"all": "0" * 64}}
    former["hash"] = certificate_hash(former)
    certificate_path(another).write_text(json.dumps(former))
    values = certify(another).values
    # The certificate of other champions is kept: reports and bundles may cite it.
    aside = another.root / "certificate-opening-1.json"
    assert read_certificate(aside) == former
    assert aside in {path for each in holdings(another) if not each.free for path in each.paths}
    assert not values["plain"]
    own, others = values["family"][4], [*range(4), 5]
    assert own["rule"]["gap"] == 1e9
    assert own["idle"]
    assert own["trades"] == 0
    assert own["reasons"] == ["it never held a position on the holdout, so there is nothing to judge"]
    assert [values["family"][k]["trades"] for k in others] == [given.values["family"][k]["trades"] for k in others]
    assert values["trials"]["validation"]["settings"] == 1600
    assert values["level"]["opening"] == 2  # other rules are another family


def test_bars_that_changed_are_found_out_before_anything_is_opened(
    another: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_supplies = module.load_supplies

    def changed(study: Any) -> tuple[Supply, ...]:
        """The holdout's last close is another."""
        supplies = true_supplies(study)
        for own in supplies[0].bars:
            own.bid[-1, 3] *= 1.0001
        return supplies

    certificate_path(another).unlink()
    log = (another.root.parent / LOG).read_bytes()
    monkeypatch.setattr(module, "load_supplies", changed)
    with pytest.raises(UserError, match="have changed since"):
        certify(another, plain=True)
    assert (another.root.parent / LOG).read_bytes() == log


def test_a_certificate_that_was_changed_is_refused(another: RunDirectory) -> None:
    path = certificate_path(another)
    values = json.loads(path.read_text())
    perhaps = r"delete it, and arena certify \(with --plain, if it was made so\) makes it again"
    for wrong, remedy in (
        (json.dumps({**values, "verdict": "pass"}), "delete it, and arena certify --plain makes it again"),
        ("{", perhaps),
        ("[]", perhaps),
        (json.dumps({**values, "version": "9.0"}), perhaps),
    ):
        path.write_text(wrong)
        with pytest.raises(UserError, match=remedy):
            certify(another, plain=True)


def test_no_certificate_takes_the_place_of_another(another: RunDirectory, given: Given) -> None:
    """Not even where a log began anew, and there is a first opening for the second time."""
    path, names = certificate_path(another), []
    for letter in "ab":
        path.write_text("{}")
        names.append(put_aside(path, {**given.values, "hash": letter * 64}).name)
    assert names == ["certificate-opening-1.json", "certificate-opening-1-bbbbbbbb.json"]
    assert not path.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("unfinished", "only what is finished is judged"),
        ("nobody", "has no champions to certify"),
        ("replicate", "--replicate: 2 of a run that has 1; right is 1"),
        ("missing", "the bars that the run traded cannot be used"),
    ],
)
def test_what_cannot_be_certified_is_one_line(
    another: RunDirectory, change: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate_path(another).unlink()
    log = (another.root.parent / LOG).read_bytes()
    words: list[str] = []
    if change == "unfinished":
        another.note(state="interrupted")
    elif change == "nobody":
        for part in another.table("archive").glob("*.parquet"):
            part.unlink()
    elif change == "replicate":
        words = ["--replicate", "2"]
    else:
        monkeypatch.setattr(module, "load_supplies", _gone)
    code, _, wrong = arena("certify", str(another.root), "--plain", *words)
    assert code == 2
    assert message in wrong
    assert len(wrong.splitlines()) == 1
    assert (another.root.parent / LOG).read_bytes() == log
    assert not certificate_path(another).exists()


def _never(*args: object, **how: object) -> Any:
    raise KeyboardInterrupt


def _gone(study: object) -> Iterator[Supply]:
    raise UserError("market.path: EURUSD.parquet: no such file")
