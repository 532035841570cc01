"""`arena paper` with a real bundle: the ledger of a replay, restarts anywhere, standard input, and mistakes."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from small_bundles import a_copy, small_bundle

from experiments import cli

sys.path.append(str(Path(__file__).resolve().parents[2] / "agents" / "live"))

from hand_bundles import rewrite

from experiments.commands.paper import _see_holdout
from experiments.paper.feeds import FileFeed
from experiments.paper.screen import Screen
from markets.readers import read_bars

TABLES = ("ledger", "fills", "trades")
LENGTH = 160  # bars behind the warm-up


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bundle(tmp_path_factory, "forest")


def manifest(bundle: Path) -> dict:
    return json.loads((bundle / "manifest.json").read_text())


@pytest.fixture(scope="module")
def bars(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of quotes with the bundle's clock."""
    about, rng = manifest(bundle), np.random.default_rng(8)
    count = about["warm_up"] + LENGTH
    close = 100 * np.exp(np.cumsum(0.004 * rng.standard_normal(count)))
    opens = np.append(100.0, close[:-1])
    high, low = np.maximum(opens, close) * 1.002, np.minimum(opens, close) * 0.998
    seconds = np.timedelta64(round(about["clock"]["seconds"]), "s")
    time = np.datetime64("2024-01-01", "us") + np.arange(count) * seconds
    prices = dict(zip(("open", "high", "low", "close"), (opens, high, low, close), strict=True))
    asks = {f"ask_{name}": values + 0.02 for name, values in prices.items()}
    path = tmp_path_factory.mktemp("bars") / f"{about['instrument']['symbol']}.parquet"
    pl.DataFrame({"timestamp": time, **prices, **asks, "volume": rng.uniform(1, 5, count)}).write_parquet(path)
    return path


COSTS = ("--set", "commission=1e-4", "financing_long=0.05", "calendar=crypto")


def paper(*words: object) -> int:
    return cli.main(["paper", *map(str, words)])


@pytest.fixture(scope="module")
def account(bundle: Path, bars: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paper") / "account"
    assert paper(bundle, "--bars", bars, "--out", folder, *COSTS) == 0
    return folder


def same(folder: Path, other: Path) -> None:
    for name in TABLES:
        one, two = (pl.read_parquet(each / f"{name}.parquet") for each in (folder, other))
        assert one.equals(two, null_equal=True), name
    assert (folder / "metrics.json").read_bytes() == (other / "metrics.json").read_bytes()


def test_the_printed_command_gives_the_same_ledger(account: Path, tmp_path: Path):
    words = json.loads((account / "paper.json").read_text())["replay"].split()
    words[words.index("--out") + 1] = str(tmp_path / "replay")
    assert cli.main(words[1:]) == 0
    same(account, tmp_path / "replay")
    assert len(pl.read_parquet(account / "fills.parquet")) > 2
    assert len(pl.read_parquet(account / "ledger.parquet")) == LENGTH + 1


def test_a_champion_goes_on_from_a_journal_cut_anywhere(account: Path, bundle: Path, bars: Path, tmp_path: Path):
    raw = (account / "journal.jsonl").read_bytes()
    for cut in np.random.default_rng().integers(0, len(raw), 2).tolist():
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / "paper.json").write_bytes((account / "paper.json").read_bytes())
        (folder / "journal.jsonl").write_bytes(raw[:cut])
        assert paper(bundle, "--bars", bars, "--out", folder, "--quiet", *COSTS) == 0, cut
        same(folder, account)


def test_lines_on_standard_input_do_as_the_file_does(
    account: Path, bundle: Path, bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    names = {name: f"bid_{name}" for name in ("open", "high", "low", "close")}
    frame = pl.read_parquet(bars).rename(names).with_columns(pl.col("timestamp").dt.to_string("iso"))
    lines = [json.dumps(row | {"exchange": "made"}) + "\n" for row in frame.iter_rows(named=True)]
    frame_file = pl.read_parquet(bars).head(len(lines) - LENGTH - 1)
    frame_file.write_parquet(tmp_path / "warm.parquet")
    for end in (len(lines) - 70, len(lines)):  # the producer begins again at the beginning
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(lines[:end])))
        own = manifest(bundle)["instrument"]["symbol"]
        words = ("--feed", "stdin", "--warm-up", tmp_path / "warm.parquet", "--symbol", own)
        assert paper(bundle, *words, "--out", tmp_path / "account", *COSTS) == 0
    same(tmp_path / "account", account)


def test_a_line_that_is_no_bar_stops_it_and_what_was_before_stands(
    bundle: Path, bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    row = pl.read_parquet(bars).tail(1).with_columns(pl.col("timestamp").dt.to_string("iso")).row(0, named=True)
    frame = pl.read_parquet(bars)
    frame.head(len(frame) - 1).write_parquet(tmp_path / "warm.parquet")
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(row) + "\nsoon\n"))
    words = ("--feed", "stdin", "--any-symbol", "--warm-up", tmp_path / "warm.parquet", "--out", tmp_path / "account")
    assert paper(bundle, *words) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("arena: standard input: line 2 is no object of JSON")
    assert len(pl.read_parquet(tmp_path / "account" / "ledger.parquet")) == 1


def test_the_guard_ends_it_with_code_3_and_its_reason(
    bundle: Path, bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    words = (
        bundle,
        "--bars",
        bars,
        "--out",
        tmp_path / "account",
        "--set",
        "commission=0.01",
        "ruin=0",
        "--max-daily-loss",
        "1",
    )
    assert paper(*words, "--max-drawdown", "0.002") == 3
    said = capsys.readouterr()
    assert "stopped: drawdown of" in said.out
    assert said.out.splitlines()[-1] == str(tmp_path / "account")
    assert pl.read_parquet(tmp_path / "account" / "ledger.parquet")["units"][-1] == 0
    assert paper(*words, "--max-drawdown", "0.002") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("look into it, then go on with --again")
    assert paper(*words, "--max-drawdown", "0.9", "--again") == 0


def test_the_grace_is_the_silence_in_force_and_a_pipe_gets_plain_text(
    bundle: Path, bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CI", "true")
    pl.read_parquet(bars).head(manifest(bundle)["warm_up"] + 5).write_parquet(tmp_path / "few.parquet")
    for words, grace in (((), None), (("--stale", 77), 77.0), (("--stale", 77, "--grace", 5), 5.0)):
        out = tmp_path / f"account-{len(words)}"
        assert paper(bundle, "--bars", tmp_path / "few.parquet", "--any-symbol", "--out", out, *words) == 0
        lines = [json.loads(line) for line in (out / "journal.jsonl").open()]
        (limits,) = [line["limits"] for line in lines if line["kind"] == "session"]
        assert limits["grace"] == (limits["stale"] if grace is None else grace)
    assert not {"\x1b", "\r"} & set(capsys.readouterr().out)


def test_mistakes_are_one_line_and_leave_nothing(
    account: Path, bundle: Path, bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    need = manifest(bundle)["warm_up"]
    pl.read_parquet(bars).head(need - 1).write_parquet(tmp_path / "short.parquet")
    pl.read_parquet(bars).gather_every(2).write_parquet(tmp_path / "slow.parquet")
    own = ("--symbol", manifest(bundle)["instrument"]["symbol"])
    fine, usual = tmp_path / "fine.parquet", pl.read_parquet(bars)
    faster = pl.col("timestamp").first() + (pl.col("timestamp") - pl.col("timestamp").first()) / 12
    usual.with_columns(faster.cast(usual.schema["timestamp"]) + (usual["timestamp"][-1] - usual["timestamp"][0])).tail(
        900
    ).write_parquet(fine)
    pl.concat([usual.head(need), pl.read_parquet(fine).slice(13, 40)]).write_parquet(tmp_path / "mixed.parquet")
    (tmp_path / "kill").touch()
    out = tmp_path / "out"
    changed = a_copy(bundle, tmp_path)
    with (changed / "champion.safetensors").open("ab") as file:
        file.write(b"x")
    cases = {
        (bundle, "--out", out): "give bars to trade: --bars FILE, or --feed",
        (changed, "--bars", bars, "--out", out): "champion.safetensors",
        (bundle, "--bars", tmp_path / "none.csv", "--out", out): "none.csv: no such file",
        (bundle, "--bars", bars, "--feed", "stdin", "--out", out): "paper: --bars FILE or --feed FEED, not both",
        (bundle, "--bars", bars, "--from", "2030-01-01", "--out", out): "no bar at or after 2030-01-01 00:00:00; the",
        (bundle, "--bars", fine, "--warm-up", bars, *own, "--out", out): "fine.parquet: bars come",
        (bundle, "--bars", tmp_path / "mixed.parquet", *own, "--out", out): "mixed.parquet, the bars to trade: bars",
        (bundle, "--bars", tmp_path / "short.parquet", *own, "--out", out): f"{need - 1} bars, but a decision of this",
        (bundle, "--bars", tmp_path / "short.parquet", "--out", out): "bars of short, but the bundle is for",
        (bundle, "--bars", bars, "--warm-up", bars, "--out", out): "no bar came after the warm-up",
        (bundle, "--bars", bars, "--out", "/dev/null/x"): "/dev/null/x: cannot be written",
        (bundle, "--bars", bars, "--from", "soon", "--out", out): "--from soon: is not a time",
        (bundle, "--feed", "stdin", "--from", "2024-01-01", "--out", out): "--from: is for --bars alone",
        (bundle, "--feed", "ccxt:kraken", "--out", out): "right is stdin or ccxt:EXCHANGE:SYMBOL:TIMEFRAME",
        (bundle, "--bars", bars, "--out", out, "--max-drawdown", "2"): "max_drawdown: 2.0 must be at most 1",
        (bundle, "--bars", bars, "--out", out, "--set", "comission=1"): "did you mean commission?",
        (bundle, "--bars", bars, "--out", out, "--kill-file", tmp_path / "kill"): "kill is there; remove it first",
        (bundle, "--bars", bars, "--out", account): "rules.commission 0.0001, not 0.0; name another directory",
    }
    for words, message in cases.items():
        assert paper(*words) == 2, message
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
        assert not out.exists()
    assert paper(bundle, "--bars", tmp_path / "slow.parquet", *own, "--out", tmp_path / "slow") == 2
    assert "s apart, but this champion's are" in capsys.readouterr().err


def test_an_empty_feed_is_said_and_an_account_says_what_becomes_of_another_start(
    bundle: Path, bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    out, stamps = tmp_path / "account", pl.read_parquet(bars)["timestamp"].to_list()
    for words in (("--feed", "stdin", "--warm-up", bars),):
        monkeypatch.setattr("sys.stdin", io.StringIO(""))
        assert paper(bundle, *words, "--out", out) == 2
        assert capsys.readouterr().err == "arena: stdin: no bar came after the warm-up; give bars to trade\n"
    few = tmp_path / bars.name
    pl.read_parquet(bars).head(len(stamps) - 20).write_parquet(few)
    usual = (bundle, "--bars", few, "--out", out, "--from")
    for start, said in ((-40, ""), (-40, ""), (-30, f"is not used: the account began {stamps[-40]} and goes on")):
        assert paper(*usual, stamps[start].isoformat()) == 0
        shown = capsys.readouterr().out
        assert said in shown
        assert ("is not used" in shown) == bool(said)
    assert paper(bundle, "--bars", bars, "--out", out, "--from", stamps[-5].isoformat()) == 2
    assert f"the account goes on after {stamps[-21]}, and may leave out no bar" in capsys.readouterr().err


def test_bars_of_the_holdout_are_called_that_until_they_were_opened(
    bundle: Path, bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    stamps, need = pl.read_parquet(bars)["timestamp"].to_list(), manifest(bundle)["warm_up"]
    few = tmp_path / bars.name
    pl.read_parquet(bars).head(need + 5).write_parquet(few)
    told = "these are bars of its run's holdout"
    for place, (ends, said) in enumerate({(need - 2, need + 9): True, (0, need - 3): False}.items()):
        about = manifest(bundle)
        about["data"] |= {"made_up": None, "holdout": [f"{stamps[end].isoformat()}Z" for end in ends]}
        known = tmp_path / str(place)
        known.mkdir()
        rewrite(a_copy(bundle, known), about)
        assert paper(known / "bundle", "--bars", few, "--out", known / "account") == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert (told in shown) is (f"arena certify {about['champion']['run_id']} first" in shown) is said
    screen, judged = Screen(("neutral", "buy", "sell")), {**about, "certificate": {"member_verdict": "pass"}}
    made_up = {**about, "data": {**about["data"], "made_up": {"seed": 1}}}
    feed = FileFeed(read_bars(bars)[0])
    for one, said in ((about, True), (judged, False), (made_up, False)):
        _see_holdout(feed, one, screen)
        assert (told in " ".join(capsys.readouterr().out.split())) is said
