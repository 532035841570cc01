"""Damaged targets, bars and broker keys of `arena replay`: a whole and finite result, or one line and nothing."""

import io
import json
import math
import os
import random
import shutil
import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from bar_files import made_bars, one_line, sound_files
from commands import Answer, answer, left, refused
from damage import CELLS, damaged
from hypothesis import given, settings
from hypothesis import strategies as st
from test_damaged_bars import frames

from experiments.data.writing import write_bars
from experiments.replay.targets import align_targets, read_targets
from markets.errors import UserError

FILES = {"ledger.parquet", "fills.parquet", "trades.parquet", "metrics.json"}
BARS = made_bars()


def sound_targets() -> dict[str, bytes]:
    rng = np.random.default_rng(5)
    count = len(BARS)
    frame = pl.DataFrame(
        {
            "timestamp": BARS.time,
            "target": np.where(rng.random(count) < 0.5, np.nan, rng.choice([-1.5, -1.0, 0.0, 0.25, 1.0], count)),
            "stop_loss": np.where(rng.random(count) < 0.5, np.nan, 0.01),
            "take_profit": np.where(rng.random(count) < 0.5, np.nan, 0.02),
        }
    )
    text = frame.with_columns(pl.col("timestamp").dt.strftime("%Y-%m-%d %H:%M:%S")).write_csv()
    parquet = io_bytes(frame)
    epoch = frame.with_columns(pl.col("timestamp").dt.epoch("ms")).write_csv()
    return {
        "targets.csv": text.encode(),
        "semicolons.csv": text.replace(",", ";").replace(".", ",").encode("utf-8-sig"),
        "tabs.csv": text.replace(",", "\t").replace(".", ",").encode(),
        "quoted.csv": text.replace(",", '","').replace("\n", '"\n"').join(('"', "")).rstrip('"').encode(),
        "utf16.csv": text.encode("utf-16"),
        "epoch.csv": epoch.encode(),
        "sparse.csv": "\n\n".join(text.splitlines()[:20]).encode(),
        "targets.parquet": parquet,
    }


def io_bytes(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


TARGETS = sound_targets()


def laid_or_refused(path: Path) -> bool:
    """Whether a file of targets can be laid along the bars; if so every order is finite and its distances positive."""
    try:
        frame, rows = read_targets(path)
        assert len(rows) == len(frame)
        laid = align_targets(frame, BARS, source=path, rows=rows)
    except UserError as error:
        one_line(error, path)
        return False
    for values in laid:
        assert values.shape == (len(BARS),)
        assert not np.isinf(values).any()
    for distances in laid[1:]:
        assert not np.any(distances <= 0)
    return True


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("targets")
    write_bars([BARS], made / "bars.parquet")
    return made


def suffer(name: str, folder: Path, cases: range) -> int:
    laid = 0
    for case in cases:
        rng = random.Random(f"{name} {case}")
        path = folder / name
        path.write_bytes(damaged(TARGETS[name], rng, TARGETS[rng.choice(list(TARGETS))]))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            laid += laid_or_refused(path)
    return laid


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_targets_are_laid_or_refused(name: str, folder: Path) -> None:
    (folder / name).write_bytes(TARGETS[name])
    assert laid_or_refused(folder / name)
    assert suffer(name, folder, range(150)) < 150


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", TARGETS)
def test_many_more_damaged_targets(name: str, folder: Path) -> None:
    suffer(name, folder, range(150, int(os.environ.get("ARENA_FUZZ_CASES", "6000"))))


@settings(max_examples=250, deadline=None)
@given(frame=frames(), target=st.lists(st.floats() | st.none(), min_size=6, max_size=6), text=st.booleans())
def test_frames_of_any_columns_are_laid_or_refused(frame: pl.DataFrame, target: list[float | None], text: bool) -> None:
    given_targets = pl.Series("target", target[: len(frame)], dtype=pl.Float64)
    frame = frame.with_columns(given_targets.cast(pl.String) if text else given_targets)
    names = {"open": "stop_loss", "close": "take_profit"}
    frame = frame.rename({old: new for old, new in names.items() if old in frame.columns})
    try:
        laid = align_targets(frame, BARS, source="any.frame")
    except UserError as error:
        one_line(error, Path("any.frame"))
        return
    assert not any(np.isinf(values).any() for values in laid)


@settings(max_examples=250, deadline=None)
@given(
    rows=st.lists(st.lists(st.sampled_from(CELLS), min_size=1, max_size=5), max_size=6), mark=st.sampled_from(",;\t")
)
def test_any_cells_are_laid_or_refused(rows: list[list[str]], mark: str, folder: Path) -> None:
    path = folder / "cells.csv"
    header = mark.join(["timestamp", "target", "stop_loss", "take_profit"])
    text = "\n".join([header, *(mark.join(row) for row in rows)])
    path.write_text(text, encoding="utf-8", errors="replace")
    laid_or_refused(path)


def replay(bars: Path, targets: Path, out: Path, *words: str) -> Answer:
    return answer("replay", str(bars), "--targets", str(targets), "--out", str(out), *words, lines=3)


def replayed(bars: Path, targets: Path, out: Path, *words: str) -> bool:
    """Whether a replay went through; it left all of a finite result, or nothing."""
    before = left(out.parent)
    found = replay(bars, targets, out, *words)
    if refused(found):
        assert left(out.parent) == before
        assert len(found.err.splitlines()) >= 1
        return False
    assert {path.name for path in out.iterdir()} == FILES
    assert set(left(out.parent)) == {*before, out.name, *(f"{out.name}/{name}" for name in FILES)}
    ledger = pl.read_parquet(out / "ledger.parquet")
    for name in ("ledger", "fills", "trades"):
        table = pl.read_parquet(out / f"{name}.parquet")
        for column in table.select(pl.col(pl.Float64)):
            assert column.drop_nulls().is_finite().all(), (name, column.name)
    assert ledger["timestamp"].is_sorted()
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["bars"] == len(ledger) > 0
    assert all(value is None or math.isfinite(value) for value in metrics.values() if isinstance(value, float))
    shutil.rmtree(out)
    return True


def test_replays_of_damaged_targets_are_whole_or_absent(folder: Path, tmp_path: Path) -> None:
    through = 0
    for case in range(120):
        rng = random.Random(f"replay {case}")
        name = rng.choice(list(TARGETS))
        path = folder / name
        path.write_bytes(damaged(TARGETS[name], rng))
        through += replayed(folder / "bars.parquet", path, tmp_path / "out")
    assert 5 < through < 115


def test_replays_over_damaged_bars_are_whole_or_absent(folder: Path, tmp_path: Path) -> None:
    (folder / "targets.csv").write_text("timestamp,target\n2020-03-12 06:00:00,1\n")
    files = sound_files(tmp_path)
    through, names = 0, [name for name in files if name.startswith(("own", "sides", "plain", "zulu", "mt5"))]
    for case in range(120):
        rng = random.Random(f"bars {case}")
        path = folder / f"damaged_{rng.choice(names)}"
        path.write_bytes(damaged(files[path.name.removeprefix("damaged_")], rng))
        chosen = ("--symbol", "A") if "parquet" in path.name else ()
        through += through < 8 and replayed(path, folder / "targets.csv", tmp_path / "out", "--repair", "drop", *chosen)
    assert through  # each that goes through compiles its own length, so few are asked for


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["cash=1e308", "commission=1e308"],
        ["spread=1e308"],
        ["spread_rate=3"],
        ["cash=1e-320", "max_leverage=1e308", "lot_size=5e-324"],
        ["financing_long=-1e308", "calendar=crypto", "max_leverage=1e200"],
        ["slippage=0.9999999999999999", "ruin=0.999", "trailing=true", "participation=5e-324"],
    ],
)
def test_keys_at_the_ends_of_what_numbers_hold(words: list[str], folder: Path, tmp_path: Path) -> None:
    path = folder / "ends.csv"
    path.write_bytes(TARGETS["targets.csv"])
    replayed(folder / "bars.parquet", path, tmp_path / "out", "--set", *words)


KEYS = (
    *("cash", "spread", "commission", "slippage", "max_leverage", "maintenance", "participation", "calendar", "ruin"),
    *("trailing", "close_at_end", "lot_size", "nothing", "", "__class__", "cash.x", "é", "--", "spread=spread"),
)


def test_nonsense_in_keys_is_refused(folder: Path, tmp_path: Path) -> None:
    path = folder / "keys.csv"
    path.write_bytes(TARGETS["targets.csv"])
    nonsense = [cell for cell in CELLS if "\0" not in cell]
    for case in range(300):
        rng = random.Random(f"key {case}")
        word = f"{rng.choice(KEYS)}{rng.choice(('=', '=', '=', '', '=='))}{rng.choice(nonsense)}"
        try:
            number = abs(float(word.partition("=")[2].replace("_", "")))
        except ValueError:
            number = math.nan
        if math.isfinite(number) or word.partition("=")[2].strip().lower() in ("null", "true", "false", "none"):
            continue  # may be meant, and would be compiled
        assert refused(replay(folder / "bars.parquet", path, tmp_path / "o", "--set", word))
    assert not (tmp_path / "o").exists()


def test_minutes_of_gain_have_no_rate_of_a_year(tmp_path: Path) -> None:
    time = np.datetime64("2020-03-12", "us") + np.arange(3) * np.timedelta64(1, "m")
    rows = "".join(f"{stamp},{p},{p},{p},{p}\n" for stamp, p in zip(time, (1.0, 1.0, 3.0), strict=True))
    (tmp_path / "m.csv").write_text(f"timestamp,open,high,low,close\n{rows}")
    (tmp_path / "t.csv").write_text(f"timestamp,target\n{time[0]},1\n")
    assert replay(tmp_path / "m.csv", tmp_path / "t.csv", tmp_path / "o").code == 0
    assert json.loads((tmp_path / "o" / "metrics.json").read_text())["cagr"] is None


def test_rows_are_named_as_a_person_counts_them(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\n\ntimestamp;target\n\n2020-03-12 06:00:00;0,5\n\n2020-03-12 07:00:00;x\n")
    frame, rows = read_targets(path)
    assert rows.tolist() == [5, 7]
    assert frame["target"].to_list() == ["0.5", "x"]
    with pytest.raises(UserError, match="row 7: target x is not a number"):
        align_targets(frame, BARS, source=path, rows=rows)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("timestamp,target,stop_loss\n2020-03-12 06:00:00,1\n", "row 2: more or fewer cells than the 3 of the header"),
        ("timestamp,target,target\n2020-03-12 06:00:00,1,0\n", "row 1: column target stands there twice"),
        ("\x00\x01\x02\x03" * 100, "not text"),
    ],
)
def test_targets_cut_short_or_said_twice_are_refused(text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=f"{why}.*targets are Parquet or CSV"):
        read_targets(path)
