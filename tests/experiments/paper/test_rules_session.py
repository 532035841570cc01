"""Paper trading of a champion that averages goes on from its journal as if it had never stopped."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "agents" / "live"))

from hand_bundles import bars_of, hand_bundle
from ruled_bundles import ruled_bundle, rules_of
from small_papers import Few, Seen, trade

from agents.live import Champion
from experiments.paper.feeds import FileFeed
from experiments.paper.journal import JOURNAL, Journal
from experiments.paper.past import Terms
from markets.rules import BrokerRules

BARS = bars_of(380, seed=9)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ruled")
    hand = hand_bundle(folder / "hand", settings={"hidden": [6]})
    return ruled_bundle(folder / "bundle", [hand], rules_of(1, average=4), who="all").path


def decisions(folder: Path, bundle: Path, *stops: int) -> list[object]:
    """Of an account that is interrupted after so many bars each time, and then traded to the end."""
    for stop in (*stops, None):
        champion = Champion.load(bundle)
        terms = Terms(BARS.symbol, BrokerRules(commission=1e-4), int(champion.manifest["warm_up"]), 3600.0, 3600.0)
        options = {} if stop is None else {"stop": Few(stop)}
        trade(folder, FileFeed(BARS, None), terms=terms, player=champion, watcher=Seen(), **options)  # type: ignore[arg-type]
    journal = Journal(folder / JOURNAL)
    try:
        return [(line["decision"], line["order"]) for line in journal.lines() if line["kind"] == "bar"]
    finally:
        journal.close()


def test_what_brains_said_is_in_the_journal(bundle: Path, tmp_path: Path) -> None:
    whole = decisions(tmp_path / "whole", bundle)
    assert len(whole) > 60
    assert decisions(tmp_path / "often", bundle, 7, 1, 20) == whole
