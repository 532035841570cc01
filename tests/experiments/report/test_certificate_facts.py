"""What the page is told of certificates and grids is what their files say; what is damaged is said and left out."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import polars as pl
import pytest
from report_certificate import certificate_of, certified
from report_columns import undone

from arena.schemas import REGIME_NAMES
from experiments.certificates.reading import SCHEMA, certificate_hash
from experiments.report.facts.archive import read_archive
from experiments.report.facts.certificate import Columns, certificates
from experiments.report.facts.grid import grids
from experiments.report.facts.missing import Missings
from experiments.report.facts.sources import Sources
from experiments.report.html import script_json
from experiments.report.packing import pack_all
from experiments.runs.directory import RunDirectory

Facts = dict[str, Any]


@pytest.fixture
def run(small_run: Path, tmp_path: Path) -> RunDirectory:
    return certified(small_run, tmp_path / "run")


def told(run: RunDirectory) -> tuple[list[Facts] | None, Columns, list[Facts] | None, dict[str, str]]:
    """Certificates, their columns, grids, and why something is missing, by file."""
    sources = Sources.of(run)
    archive = read_archive(sources, None)
    found, columns = certificates(sources, archive)
    rules = grids(sources, archive)
    script_json([found, rules])  # what JSON does not have would cost the whole page
    return found, columns, rules, {entry["what"]: entry["why"] for entry in sources.missing.facts()}


def written(run: RunDirectory, **changes: Any) -> None:
    """The certificate with entries changed, under a hash of its own; None takes an entry out."""
    path = run.root / "certificate.json"
    values = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    values = {key: value for key, value in values.items() if key not in changes or value is not Ellipsis}
    path.write_text(json.dumps({**values, "hash": certificate_hash(values)}), encoding="utf-8")


def test_the_certificate_made_by_hand_is_one() -> None:
    jsonschema.validate(
        certificate_of("0123456789ab", {"all": 7}), json.loads(SCHEMA.read_text(encoding="utf-8"))
    )  # fmt: skip


def test_the_page_is_told_what_the_certificate_says(run: RunDirectory) -> None:
    values = json.loads((run.root / "certificate.json").read_text(encoding="utf-8"))
    found, columns, _, missing = told(run)
    assert found is not None
    assert missing == {}
    [facts] = found
    for key in ("verdict", "reasons", "level", "openings", "spa", "overfitting", "minimum_backtest", "hash"):
        assert facts[key] == pytest.approx(values[key], rel=1e-5) if key == "level" else values[key]
    assert not facts["former"]
    assert [one["member"] for one in facts["family"]] == [*REGIME_NAMES, "router"]
    for one, member in zip(facts["family"], values["family"], strict=True):
        assert one["metrics"]["2"] == pytest.approx(member["metrics"]["2"], rel=1e-5)
        earned = {row["regime"]: row["total_return"] for row in member["by_regime"]}
        assert one["by_regime"] == pytest.approx(earned, rel=1e-5)
        assert dict(one["by_month"]) == pytest.approx(
            {row["month"]: row["total_return"] for row in member["by_month"]}, rel=1e-5
        )
    days = {
        name: np.frombuffer(b"".join(raw), "<f4") for name, raw in undone(pack_all(columns)[facts["columns"]]).items()
    }
    curves = values["curves"]
    assert days["day"].view("<i4").astype("datetime64[D]").astype(str).tolist() == curves["day"]
    np.testing.assert_allclose(days["hold"], curves["buy_and_hold"], rtol=1e-6)
    for k, name in enumerate((*REGIME_NAMES, "router")):
        for key in ("equity", "matched"):
            np.testing.assert_allclose(days[f"{key}-{k}"], curves["members"][name][key], rtol=1e-6)


def test_a_long_holdout_is_drawn_in_few_points_that_end_where_it_does(run: RunDirectory) -> None:
    curves = json.loads((run.root / "certificate.json").read_text(encoding="utf-8"))["curves"]
    many = 5_000
    days = np.arange(np.datetime64("2005-01-03"), np.datetime64("2005-01-03") + many)
    longer = {"equity": list(range(1, many + 1)), "matched": [1.0] * many}
    curves |= {"day": [str(day) for day in days], "buy_and_hold": [1.0] * many}
    written(run, curves={**curves, "members": dict.fromkeys(curves["members"], longer)})
    found, columns, _, _ = told(run)
    assert found is not None
    own = columns[found[0]["columns"]]
    assert found[0]["every"] == 4
    assert own["equity-0"].tolist() == list(range(4, many + 1, 4))
    assert (own["day"].astype("datetime64[D]") == days[3::4]).all()


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "torn": (lambda path: path.write_bytes(path.read_bytes()[:999]), "damaged"),
    "empty": (lambda path: path.write_text(""), "damaged"),
    "a list": (lambda path: path.write_text("[]"), "is no certificate"),
    "changed": (
        lambda path: path.write_text(path.read_text().replace('"fail"', '"pass"')),
        "does not match its hash",
    ),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "cannot be read"),
    "another's": (
        lambda path: path.write_text(json.dumps(certificate_of("0123456789ab", {}))),
        "is of run 0123456789ab, replicate 1",
    ),
    "another replicate's": (
        lambda path: path.write_text(json.dumps(certificate_of(json.loads(path.read_text())["run_id"], {}, 2))),
        "replicate 2",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_certificate_is_said_and_left_out(run: RunDirectory, damage: str) -> None:
    spoil, wanted = DAMAGE[damage]
    spoil(run.root / "certificate.json")
    found, columns, rules, missing = told(run)
    assert found is None
    assert columns == {}
    assert rules is not None
    assert missing["certificate.json"].startswith("The certificate cannot be used: ")
    assert wanted in missing["certificate.json"]


def test_no_entry_that_is_strange_breaks_the_report(run: RunDirectory) -> None:
    """Whoever writes a certificate anew may hash what they like."""
    values = json.loads((run.root / "certificate.json").read_text(encoding="utf-8"))
    curves = values["curves"]
    members = {name: {key: one[:5] for key, one in own.items()} for name, own in curves["members"].items()}
    values["curves"] = {"day": curves["day"][:5], "buy_and_hold": curves["buy_and_hold"][:5], "members": members}
    sources = Sources.of(run)
    archive, said = read_archive(sources, None), 0
    first = values["family"][0]
    plots = {"counts": [1], "edges": [None, 1]}
    changes: list[Facts] = [
        {key: strange}
        for key in values.keys() - {"format", "version", "run_id", "replicate", "hash"}
        for strange in (..., None, 7, "x", [], {}, [1], plots)
    ]
    changes += [{"family": [{**first, key: 7}, *values["family"][1:]]} for key in first]
    for change in changes:
        written(run, **{**values, **change})
        own = dataclasses.replace(sources, missing=Missings())
        found, _ = certificates(own, archive)
        script_json(found)
        assert (found is None) == bool(own.missing.facts())
        said += found is None
    assert 60 < said < len(changes)
    for key, plot in (("overfitting", values["overfitting"]), ("luck", values["luck"]["records"]["training"])):
        short = {**plot, "edges": plot["edges"][1:]}
        written(
            run,
            **{
                **values,
                key: short if key == "overfitting" else {"record": "training", "records": {"training": short}},
            },
        )
        assert certificates(sources, archive)[0] is None


def test_champions_that_lost_their_place_since_are_told(run: RunDirectory) -> None:
    [path] = run.table("archive").glob("*.parquet")
    table = pl.read_parquet(path)
    newer = pl.col("id").replace(dict(table.filter(regime="all").select("id", pl.lit(10**6)).rows()))
    table.with_columns(pl.when(pl.col("regime") == "all").then(newer).otherwise("id").alias("id")).write_parquet(path)
    found, _, rules, missing = told(run)
    assert found is not None
    assert found[0]["former"]
    assert rules is None
    assert missing["inference.parquet"].startswith("The rules were tried for champions that have lost their place")


def test_where_there_is_neither_nothing_is_missing(small_run: Path) -> None:
    found, columns, rules, missing = told(RunDirectory(small_run))
    assert (found, columns, rules, missing) == (None, {}, None, {})


def test_every_rule_stands_at_its_place(run: RunDirectory) -> None:
    table = pl.read_parquet(run.root / "inference.parquet")
    _, _, rules, missing = told(run)
    assert rules is not None
    assert missing == {}
    assert [one["regime"] for one in rules] == list(range(5))
    for one in rules:
        group, place = REGIME_NAMES[one["regime"]], 0
        rows = {
            (row["ensemble"], row["lookback"], row["average"], row["threshold"]): row
            for row in table.filter(group=group, regime=group).iter_rows(named=True)
        }
        for ensemble in one["ensembles"]:
            for lookback in one["lookbacks"]:
                for average in one["averages"]:
                    for threshold in one["thresholds"]:
                        rule = (ensemble, lookback, average, threshold)
                        row = rows.pop(rule)
                        assert one["scores"][place] == pytest.approx(1e4 * row["log_return"] / row["bars"], abs=6e-4)
                        assert one["trades"][place] == row["trades"]
                        assert one["t"][place] == pytest.approx(row["t"], abs=6e-4)
                        assert one["gaps"][place] == pytest.approx(row["gap"], abs=6e-6)
                        assert (place == one["chosen"]) == row["chosen"]
                        assert (place == one["plain"]) == (rule == ("alone", None, 1, 0.0))
                        place += 1
        assert place == len(one["scores"]) == 320
        assert rows == {}


@pytest.mark.parametrize("damage", ["torn", "foreign", "nothing chosen", "twice"])
def test_a_damaged_grid_is_said_and_left_out(run: RunDirectory, damage: str) -> None:
    path = run.root / "inference.parquet"
    table = pl.read_parquet(path)
    spoil: dict[str, Callable[[], object]] = {
        "torn": lambda: path.write_bytes(path.read_bytes()[:-30]),
        "foreign": lambda: table.rename({"t": "u"}).write_parquet(path),
        "nothing chosen": lambda: table.with_columns(chosen=False).write_parquet(path),
        "twice": lambda: pl.concat([table, table]).write_parquet(path),
    }
    spoil[damage]()
    found, _, rules, missing = told(run)
    assert rules is None
    assert found is not None
    assert missing["inference.parquet"].startswith("The grid of decision rules cannot be read: ")


def test_each_replicate_has_its_own(small_run: Path, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    shutil.copytree(small_run, run.root)
    config = run.config.read_text(encoding="utf-8")
    run.config.write_text(config.replace("replicates: 1", "replicates: 2"), encoding="utf-8")
    values = certificate_of(run.read_manifest()["run_id"], {"all": 3}, 2)
    (run.root / "certificate-2.json").write_text(json.dumps(values), encoding="utf-8")
    found, columns, _, missing = told(run)
    assert found is not None
    assert [one["replicate"] for one in found] == [1]
    assert list(columns) == ["certificate-2"]
    assert "certificate.json" not in missing
