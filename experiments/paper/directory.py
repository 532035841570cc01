"""The folder of a paper account: what it is, its journal, and, whenever it stops, the files that a replay would leave.

`paper.json` says which bundle trades in it by which rules, and nothing else may trade in it. Bars and targets are
written as `arena replay` takes them, every number to the last bit, so that anyone can check the ledger.
"""

import contextlib
import dataclasses
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from experiments.paper.account import Order, PaperAccount, targets_of
from experiments.paper.journal import JOURNAL, Journal
from experiments.paper.past import Terms
from experiments.paper.roles import Ending
from experiments.runs.files import make_folder, write_json, write_table
from experiments.runs.lock import only_one
from markets.bars import Bars
from markets.errors import UserError
from markets.rules import BrokerRules

__all__ = ["PAPER", "identity", "opened", "settings_words", "write_files"]

PAPER = "paper.json"

_FORMAT, _VERSION = "lineage-arena.paper", "1.0"
_KEEPS = ("bundle", "symbol", "rules", "warm_up", "seconds")
_PRICES = ("open", "high", "low", "close")


def identity(terms: Terms, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What a paper account is, for as long as it lives."""
    champion = manifest["champion"]
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "bundle": manifest["hash"],
        "champion": {name: champion.get(name) for name in ("id", "species", "run_id")},
        "symbol": terms.symbol,
        "warm_up": terms.warm_up,
        "seconds": terms.seconds,
        "rules": dataclasses.asdict(terms.rules),
    }


@contextlib.contextmanager
def opened(folder: Path, wanted: Mapping[str, Any]) -> Iterator[Journal]:
    """The journal of an account's folder, for this process alone; the folder is made where there is none.

    Args:
        folder: of the account.
        wanted: its `identity`.

    Raises:
        UserError: a folder of something else, of another bundle or other rules, or one that a process is at work in.
    """
    with contextlib.ExitStack() as stack:
        try:
            _see_ours(folder, wanted)
            make_folder(folder)
            stack.enter_context(only_one(folder, "paper account"))
            _see_ours(folder, wanted)  # nobody else can change it now
            if not (folder / PAPER).exists():
                write_json(folder / PAPER, wanted)
            journal = Journal(folder / JOURNAL)
            stack.callback(journal.close)
        except OSError as error:
            raise UserError(f"{folder}: cannot be written ({error.strerror or error}); name another folder") from None
        yield journal


def write_files(
    folder: Path,
    wanted: Mapping[str, Any],
    account: PaperAccount,
    orders: Sequence[Order | None],
    ending: Ending | None,
    rules: BrokerRules,
) -> str:
    """Write what a replay leaves, beside the bars and the targets it takes, and say how the session ended.

    Args:
        folder: of the account.
        wanted: its `identity`.
        account: that has met a bar at least.
        orders: decided at the close of each bar.
        ending: of the session; None where a mistake ended it.
        rules: the broker's. At the end of a feed a position is closed where they say so; whenever the account will
            or may go on, it stays open.

    Returns:
        The command that replays it.
    """
    closes = rules.close_at_end and ending is not None and ending.how == "ended"
    result, bars = account.result(closes=closes), account.bars
    stamps = pl.Series("timestamp", bars.time).dt.replace_time_zone("UTC")
    write_table(folder / "bars.parquet", _table(bars, stamps))
    asked = targets_of(orders)
    columns = {"target": asked.target, "stop_loss": asked.stop_loss, "take_profit": asked.take_profit}
    write_table(folder / "targets.parquet", pl.DataFrame({"timestamp": stamps, **columns}, nan_to_null=True))
    for name in ("ledger", "fills", "trades"):
        write_table(folder / f"{name}.parquet", getattr(result, name))
    write_json(folder / "metrics.json", result.metrics)
    words = settings_words(dataclasses.replace(rules, close_at_end=closes))
    files = [str(folder / "bars.parquet"), "--targets", str(folder / "targets.parquet"), "--out", f"{folder}-replay"]
    command = shlex.join(["arena", "replay", *files, *(["--set", *words] if words else [])])
    how = {"state": "failed", "reason": ""} if ending is None else {"state": ending.how, "reason": ending.why}
    write_json(folder / PAPER, {**wanted, **how, "bars": len(bars), "last": f"{bars.time[-1]}Z", "replay": command})
    return command


def settings_words(rules: BrokerRules) -> list[str]:
    """The words of `arena replay --set` for rules, exactly."""
    usual = BrokerRules()
    words = []
    for name, value in dataclasses.asdict(rules).items():
        if value != getattr(usual, name):
            plain = {None: "null", True: "true", False: "false"}
            words.append(f"{name}={plain[value] if value is None or isinstance(value, bool) else value}")
    return words


def _table(bars: Bars, stamps: pl.Series) -> pl.DataFrame:
    sides = (("", bars.bid), ("ask_", bars.ask))
    prices = {f"{side}{name}": values[:, place] for side, values in sides for place, name in enumerate(_PRICES)}
    symbol = pl.Series([bars.symbol]).new_from_index(0, len(bars))
    return pl.DataFrame({"timestamp": stamps, "symbol": symbol, **prices, "volume": bars.volume})


def _see_ours(folder: Path, wanted: Mapping[str, Any]) -> None:
    """See that a folder is absent, empty or of this very account."""
    path = folder / PAPER
    if not path.is_file():
        if folder.exists() and (not folder.is_dir() or any(not each.name.startswith(".") for each in folder.iterdir())):
            raise UserError(f"{folder}: exists and is no paper account; name another directory")
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("format") != _FORMAT or found.get("version") != _VERSION:
        raise UserError(f"{path}: is not what this version writes; name another directory")
    for key in _KEEPS:
        there, here = found.get(key), wanted[key]
        if there != here and key == "rules" and isinstance(there, dict):
            key, there, here = next((k, there.get(k), v) for k, v in here.items() if there.get(k) != v)
            key = f"rules.{key}"
        if there != here and key == "bundle":
            one, other = _bundle(found), _bundle(wanted)
            raise UserError(f"{folder}: has a paper account of {one}, not of {other}; name another directory")
        if there != here:
            raise UserError(f"{folder}: has a paper account with {key} {there}, not {here}; name another directory")


def _bundle(identity: Mapping[str, Any]) -> str:
    """Whose account it is, for people."""
    champion = identity.get("champion")
    about = champion if isinstance(champion, dict) else {}
    whose = f"{about.get('species')} {about.get('id')} of run {about.get('run_id')}"
    return f"{whose} (bundle {str(identity.get('bundle'))[:12]})"
