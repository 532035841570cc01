"""The freqtrade strategy of docs/live.md gives the arena's decisions as signals, through plain pandas.

freqtrade is not needed, and none of it is here: the two names that the file imports are made up by the test, as little
as it uses of them.
"""

import json
import re
import shutil
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path += [str(ROOT / "tests" / "experiments"), str(ROOT / "tests" / "experiments" / "bundles")]

from arenas import journey, tape_of, twin_of  # noqa: E402
from small_bundles import small_bundle  # noqa: E402

from markets.bars import Bars  # noqa: E402

pd = pytest.importorskip("pandas", reason="no pandas: pip install '.[oracles]'")

PAIR = {"pair": "SYN/USDT"}


class _Strategy:
    """What the file needs of freqtrade's base class."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.wallets = types.SimpleNamespace(get_total_stake_amount=lambda: 1000.0)


def _from_absolute(level: float, rate: float, is_short: bool = False, leverage: float = 1.0) -> float:
    """Distance of a level from the rate as freqtrade wants it: a positive share of it, times leverage."""
    return max((level / rate - 1 if is_short else 1 - level / rate) * leverage, 0.0)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strategies")
    return Path(shutil.copytree(small_bundle(tmp_path_factory, "qnetwork"), folder / "champion"))


@pytest.fixture
def module(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The file of the documentation, loaded beside a bundle."""
    text = (ROOT / "docs" / "live.md").read_text(encoding="utf-8")
    section = text.partition("\n## freqtrade\n")[2]
    block = re.search(r"```python\n(.*?)```", section, flags=re.DOTALL)
    assert block is not None
    stand_in = types.ModuleType("freqtrade.strategy")
    stand_in.IStrategy, stand_in.stoploss_from_absolute = _Strategy, _from_absolute  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "freqtrade", types.ModuleType("freqtrade"))
    monkeypatch.setitem(sys.modules, "freqtrade.strategy", stand_in)
    monkeypatch.setattr(sys, "path", list(sys.path))
    names: dict[str, Any] = {"__file__": str(bundle.parent / "champion_strategy.py"), "__name__": "champion_strategy"}
    exec(compile(block[1], "docs/live.md", "exec"), names)
    yield names
    for name in [name for name in sys.modules if name == "runner" or name.startswith("runner.")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def arena(bundle: Path) -> tuple[Any, Any, Any]:
    """Bars with one price as a table, and what the arena decided on them: target, stop and take-profit by row."""
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    golden = np.load(bundle / "golden.npz")
    mid = 0.5 * (golden["bid"] + golden["ask"])
    time = golden["time"].astype("datetime64[us]")
    bars = Bars.from_mid("SYN1", time, mid, 0.0, golden["volume"])
    order = journey(twin_of(manifest, bundle), tape_of(manifest, bars)).order
    before, rows = manifest["warm_up"] - 1, len(time)
    decided = np.full((3, rows), np.nan)
    for place, leaf in enumerate(order):
        decided[place, before : rows - 1] = leaf[:, 0]
    table = pd.DataFrame(mid, columns=["open", "high", "low", "close"])
    table.insert(0, "date", pd.to_datetime(time).tz_localize("UTC"))
    return table.assign(volume=golden["volume"]), decided, manifest


def _signals(strategy: Any, table: Any) -> Any:
    table = strategy.populate_indicators(table.copy(), PAIR)
    return strategy.populate_exit_trend(strategy.populate_entry_trend(table, PAIR), PAIR)


def test_signals_are_the_arenas_decisions(module: dict[str, Any], arena: Any) -> None:
    table, (target, stop, take), manifest = arena
    strategy = module["ChampionStrategy"]({})
    known = _signals(strategy, table).iloc[:-1]  # the arena orders nothing at its last bar
    target = target[:-1]
    np.testing.assert_array_equal(known["enter_long"], target > 0)
    np.testing.assert_array_equal(known["enter_short"], target < 0)
    np.testing.assert_array_equal(known["exit_long"], target <= 0)
    np.testing.assert_array_equal(known["exit_short"], target >= 0)
    np.testing.assert_allclose(known["target"], target, rtol=1e-6)
    asked = np.isfinite(target)
    assert asked.sum() > 20
    np.testing.assert_allclose(known["stop"][asked], stop[:-1][asked], rtol=1e-6)
    np.testing.assert_allclose(known["take_profit"][asked], take[:-1][asked], rtol=1e-6)
    assert (strategy.INTERFACE_VERSION, strategy.timeframe) == (3, "1h")
    assert strategy.startup_candle_count == manifest["warm_up"]


def test_a_table_that_grows_and_slides_gives_the_same_signals(module: dict[str, Any], arena: Any) -> None:
    table, _, manifest = arena
    whole, live = (_signals(module["ChampionStrategy"]({}), table), module["ChampionStrategy"]({}))
    for end in range(manifest["warm_up"] + 40, len(table) + 1, 37):
        seen = _signals(live, table.iloc[max(0, end - 400) : end].reset_index(drop=True))
        expected = whole.iloc[max(0, end - 400) : end]
        for name in ("target", "stop", "enter_long", "exit_short"):
            np.testing.assert_array_equal(seen[name], expected[name])


def test_stake_stop_and_take_profit_are_those_of_the_order(module: dict[str, Any], arena: Any) -> None:
    strategy = module["ChampionStrategy"]({})
    known = _signals(strategy, arena[0])
    row = known[known["enter_long"] + known["enter_short"] == 1].iloc[3]
    for side in (1, -1):
        opened = row["date"] + pd.Timedelta(hours=1, seconds=2)
        words = {"entry_tag": None, "side": "long" if side > 0 else "short"}
        assert strategy.leverage(PAIR["pair"], opened, 1.0, 1.0, 20.0, **words) == 1.0
        stake = strategy.custom_stake_amount(PAIR["pair"], opened, 1.0, 50.0, 1.0, 5000.0, 1.0, **words)
        assert stake == pytest.approx(1000.0 * abs(row["target"]))
        trade = types.SimpleNamespace(
            open_date_utc=opened, open_rate=100.0, is_short=side < 0, leverage=1.0, fee_open=0.0, fee_close=0.0
        )
        later = opened + pd.Timedelta(hours=5)
        stop = strategy.custom_stoploss(PAIR["pair"], trade, later, 101.0, 0.0, False)
        assert 101.0 * (1 - side * stop) == pytest.approx(100.0 * (1 - side * row["stop"]))
        profit = strategy.custom_roi(PAIR["pair"], trade, later, 5, **words)
        assert profit == pytest.approx(row["take_profit"])
        trade.fee_open = trade.fee_close = 0.001
        fees = strategy.custom_roi(PAIR["pair"], trade, later, 5, **words)
        assert profit - fees == pytest.approx(0.002, rel=0.2)
        assert strategy.custom_exit(PAIR["pair"], trade, later, 100.0, fees + 1e-9) == "take_profit"
        assert strategy.custom_exit(PAIR["pair"], trade, later, 100.0, fees - 1e-9) is None


@pytest.mark.parametrize("side", [1, -1])
def test_a_trailing_stop_follows_the_closed_candles(module: dict[str, Any], arena: Any, side: int) -> None:
    manifest = dict(module["MANIFEST"])
    module["MANIFEST"] = manifest | {"broker": manifest["broker"] | {"trailing": True}}
    strategy = module["ChampionStrategy"]({})
    known = _signals(strategy, arena[0])
    place = int(np.flatnonzero(known["enter_long"] + known["enter_short"] == 1)[3])
    hour, row = pd.Timedelta(hours=1), known.iloc[place]
    opened, rate = row["date"] + hour + pd.Timedelta(seconds=2), float(known["open"][place + 1])
    trade = types.SimpleNamespace(open_date_utc=opened, open_rate=rate, is_short=side < 0, leverage=1.0)
    fixed = rate * (1 - side * row["stop"])
    for later in (0, 1, 6):
        candles = known.iloc[place + 1 : place + 1 + later]
        best = max([rate, *candles["high"]]) if side > 0 else min([rate, *candles["low"]])
        now, far = opened + later * hour, best * (1 + side * 0.1)
        stop = strategy.custom_stoploss(PAIR["pair"], trade, now, far, 0.0, False)
        assert far * (1 - side * stop) == pytest.approx(fixed + best - rate)
        assert strategy.custom_stoploss(PAIR["pair"], trade, now, fixed * (1 - side * 0.01), 0.0, False) == 1e-9


def test_nothing_is_asked_before_the_warm_up(module: dict[str, Any], arena: Any) -> None:
    table, _, manifest = arena
    known = _signals(module["ChampionStrategy"]({}), table.iloc[: manifest["warm_up"] - 1])
    assert known[["enter_long", "enter_short", "exit_long", "exit_short"]].to_numpy().sum() == 0
    assert set(known["regime"]) == {"unknown"}
