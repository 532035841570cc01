"""A run of two replicates: what the report says of each is what it says of a run of that replicate alone."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from report_twice import make_twice

from experiments.report.facts.thinning import POINTS, Thinning
from experiments.report.report import report_facts
from experiments.runs.directory import RunDirectory

Facts = dict[str, Any]


@pytest.fixture
def twice(small_run: Path, tmp_path: Path) -> RunDirectory:
    """A copy of the small run with a second replicate."""
    return make_twice(small_run, tmp_path / "run")


@pytest.fixture
def alone(small_run: Path) -> Facts:
    return report_facts(RunDirectory(small_run), only_records=True)[0]


def of(lines: list[Facts], place: int) -> list[Facts]:
    """The lines of one replicate, without saying so."""
    return [
        {key: value for key, value in line.items() if key != "replicate"}
        for line in lines
        if line["replicate"] == place
    ]


def test_each_replicate_is_drawn_by_itself(twice: RunDirectory, alone: Facts) -> None:
    found = report_facts(twice, only_records=True)[0]
    for place in range(2):
        for name in ("series", "deaths", "scars"):
            assert of(found["curves"][name], place) == of(alone["curves"][name], 0) != []
        for line, wanted in zip(of(found["curves"]["fitness"], place), of(alone["curves"]["fitness"], 0), strict=True):
            assert (line["species"], line["regime"]) == (wanted["species"], wanted["regime"])
            for key in ("best", "median"):
                higher = [None if value is None else value * (1 + place) for value in wanted[key]]
                assert line[key] == pytest.approx(higher, abs=2e-3)
        [own], [clades] = of(found["clades"]["replicates"], place), of(alone["clades"]["replicates"], 0)
        assert own["counts"] == clades["counts"]
        assert [clade["id"] for clade in own["clades"]] == [
            None if clade["id"] is None else 2 * clade["id"] + place for clade in clades["clades"]
        ]
        agents, wanted = of(found["heat"]["agents"], place), of(alone["heat"]["agents"], 0)
        assert agents == [{**agent, "id": 2 * agent["id"] + place} for agent in wanted]
    assert found["curves"]["speed"] == alone["curves"]["speed"]
    assert found["run"]["replicates"] == 2
    assert [found["run"][key] for key in ("species", "islands")] == [
        alone["run"][key] for key in ("species", "islands")
    ]


def test_a_death_of_somebody_unknown_is_of_no_replicate(twice: RunDirectory) -> None:
    before = report_facts(twice, only_records=True)[0]["curves"]["deaths"]
    deaths, [path] = twice.read("deaths"), list(twice.table("births").glob("*.parquet"))
    one = deaths.filter(pl.col("generation") == 1)["id"][0]
    pl.read_parquet(path).filter(pl.col("id") != one).write_parquet(path)
    found = report_facts(twice, only_records=True)[0]
    for line, was in zip(found["curves"]["deaths"], before, strict=True):
        assert line["values"] == [None if generation == 1 else n for generation, n in enumerate(was["values"])]
    [said] = [entry for entry in found["missing"] if entry["what"] == "deaths.parquet"]
    assert said["part"] == "curves"
    assert "no birth tells the replicate" in said["why"]


def test_many_replicates_have_fewer_points_each() -> None:
    assert Thinning.of(9_000, 1).points == Thinning.of(9_000, 4).points == POINTS
    assert Thinning.of(9_000, 10).points == 600
    assert Thinning.of(9_000, 1_000).points == 200
