"""What a grid leaves: others' entries and rows stay when one is made anew, and what is damaged is told."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from experiments.inference.files import TABLE, read_grids, write_grids
from experiments.runs.directory import RunDirectory
from experiments.runs.lock import only_one
from markets.errors import UserError


def entry(replicate: int, fold: int, identity: int) -> dict[str, Any]:
    choice = {
        "ensemble": "mean",
        "lookback": 50,
        "average": 4,
        "threshold": 0.5,
        "gap": 0.25,
        "groups": ["all", "bull_trending"],
        "brains": [identity, 8],
        "weights": [[0.5, 0.5]] * 4,
    }
    champions = {"all": {"id": identity, "generation": 3, "species": "forest"}}
    return {"replicate": replicate, "fold": fold, "settings": 320, "champions": champions, "choices": {"all": choice}}


def rows(replicate: int, fold: int, identity: int) -> pl.DataFrame:
    values: dict[str, Any] = dict.fromkeys(TABLE)
    values |= {"replicate": replicate - 1, "fold": fold, "group": "all", "id": identity, "chosen": True}
    return pl.DataFrame([values], schema=TABLE)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    directory = RunDirectory(tmp_path)
    for who in ((2, 0, 20), (1, 0, 10), (1, 1, 11)):
        write_grids(directory, [entry(*who)], rows(*who))
    return directory


def test_grids_of_other_replicates_and_folds_stay(run: RunDirectory) -> None:
    write_grids(run, [entry(1, 0, 12)], rows(1, 0, 12))
    expected = [(1, 0, 12), (1, 1, 11), (2, 0, 20)]
    found = [(grid["replicate"], grid["fold"], grid["champions"]["all"]["id"]) for grid in read_grids(run)]
    assert found == expected
    table = pl.read_parquet(run.root / "inference.parquet")
    assert dict(table.schema) == TABLE
    assert table.select(pl.col("replicate") + 1, "fold", "id").rows() == expected


@pytest.mark.parametrize("content", [b"", b"PAR1", None])
def test_a_table_that_is_damaged_is_told(run: RunDirectory, content: bytes | None) -> None:
    path = run.root / "inference.parquet"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(UserError, match=r"inference.parquet: damaged .*; delete .* makes it again"):
        write_grids(run, [entry(1, 0, 12)], rows(1, 0, 12))


def test_two_that_write_at_once_wait_for_one_another(run: RunDirectory) -> None:
    """What stays is read and written under one lock, or one of the two would be lost."""
    whos = [(place, 0, place) for place in (3, 4, 5, 6)]
    with ThreadPoolExecutor(len(whos)) as pool:
        for done in [pool.submit(write_grids, run, [entry(*who)], rows(*who)) for who in whos]:
            done.result()
    assert [grid["replicate"] for grid in read_grids(run)] == [1, 1, 2, 3, 4, 5, 6]
    before = (run.root / "inference.json").read_bytes()
    with only_one(run.root), pytest.raises(UserError, match="at work on this run"):
        write_grids(run, [entry(1, 0, 12)], rows(1, 0, 12))
    assert (run.root / "inference.json").read_bytes() == before
