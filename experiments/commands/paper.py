"""`arena paper`: a champion's bundle on a paper account, bar by bar, from a file, standard input or an exchange."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from agents.live import Champion
from experiments.bundles.saying import certificate_words
from experiments.commands.broker_keys import add_broker_argument, key_values
from experiments.commands.reading import add_reading_arguments, read_settings
from experiments.exits import INTERRUPTED, STOPPED
from experiments.paper.directory import PAPER, identity, opened, write_files
from experiments.paper.exchange import ExchangeFeed, open_exchange
from experiments.paper.feeds import Feed, FileFeed, LinesFeed, Prefaced, standard_lines
from experiments.paper.guard import Limits
from experiments.paper.past import Terms, check_length
from experiments.paper.roles import Ending
from experiments.paper.screen import Screen
from experiments.paper.session import Session
from experiments.paper.words import stamp, units
from experiments.runs.interruption import interruptible
from experiments.terminal import say
from markets.bars import Bars
from markets.errors import UserError
from markets.readers import read_bars
from markets.readers.stamps import parse_stamps
from markets.rules import BrokerRules
from markets.settings import build

__all__ = ["add_arguments", "run"]

_RULE = 12  # steps among a file's bars to trade from which their usual length can be told


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena paper`."""
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="folder that arena export wrote")
    parser.add_argument("--bars", metavar="FILE", type=Path, help="bars to trade, in any form arena data check reads")
    parser.add_argument(
        "--feed", metavar="FEED", help="instead: stdin (a JSON object a line) or ccxt:EXCHANGE:SYMBOL:TIMEFRAME"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder of the account; goes on in it")
    parser.add_argument(
        "--from", metavar="STAMP", dest="start", help="first bar of --bars to trade, such as 2024-05-01"
    )
    parser.add_argument("--warm-up", metavar="FILE", type=Path, help="older bars, from which features are warmed up")
    for name, what in (
        ("max-drawdown", "loss from the peak of equity that stops it, as a fraction of equity"),
        ("max-daily-loss", "loss within a UTC day that stops it, as a fraction of equity"),
        ("max-exposure", "largest exposure that an order may ask for, as a multiple of equity"),
    ):
        parser.add_argument(f"--{name}", metavar="X", type=float, help=f"{what} (the bundle's)")
    parser.add_argument("--stale", metavar="SECONDS", type=float, help="silence of a live feed that stops it")
    parser.add_argument("--grace", metavar="SECONDS", type=float, help="then wait so long for a bar to flatten at")
    parser.add_argument("--kill-file", metavar="FILE", type=Path, help="a file that stops it (default DIR/kill)")
    parser.add_argument("--any-symbol", action="store_true", help="trade bars that name another symbol than the bundle")
    parser.add_argument(
        "--uncertified", action="store_true", help="trade a champion although its certificate says that it failed"
    )
    parser.add_argument("--again", action="store_true", help="go on although the guard stopped it")
    parser.add_argument("--backend", choices=("numpy", "onnx"), default="numpy", help="what computes action values")
    parser.add_argument("--quiet", action="store_true", help="only the end")
    add_broker_argument(parser, default="the bundle's")
    add_reading_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Trade as the arguments say, write the folder, print a summary, and return the exit code."""
    if args.bars is not None and args.feed is not None:
        raise UserError("paper: --bars FILE or --feed FEED, not both")
    if args.bars is None and args.feed is None:
        raise UserError("paper: give bars to trade: --bars FILE, or --feed stdin or ccxt:EXCHANGE:SYMBOL:TIMEFRAME")
    champion = Champion.load(args.bundle, backend=args.backend)
    manifest = champion.manifest
    _see_certificate(args, manifest)
    rules = build(BrokerRules, {**manifest["broker"], **key_values(args.settings)})
    limits = _limits(args, manifest)
    if limits.killed:
        raise UserError(f"{limits.killed}; remove it first")
    feed, symbol = _feed(args, manifest)
    clock = manifest["clock"]
    terms = Terms(symbol, rules, int(manifest["warm_up"]), float(clock["seconds"]), float(clock["shortest"]))
    wanted = identity(terms, manifest)
    out = args.out.expanduser().absolute()
    if not (out / PAPER).exists():
        _see_enough(args, feed, terms)
    screen = Screen(tuple(manifest["actions"]["names"]), quiet=args.quiet)
    ending: Ending | None = None
    command = ""
    try:
        with opened(out, wanted) as journal:
            if journal.torn:
                screen.note(f"a torn last line of the journal is dropped ({journal.torn} bytes)")
            noted = {"certificate": certificate_words(manifest), "uncertified": args.uncertified}
            options = {"again": args.again, "noted": noted, "name": str(out)}
            session = Session(terms, limits, champion, feed, journal, screen, **options)
            _outline(screen, terms, manifest, session)
            _see_start(args, feed, session, screen)
            _see_holdout(feed, manifest, screen)
            if isinstance(feed, ExchangeFeed) and not (rules.spread or rules.spread_rate):
                screen.note("candles have no spread, so none is paid; --set spread_rate=… puts one on")
            try:
                with interruptible(lambda: screen.note("finishing the bar in hand")) as stop, screen:
                    ending = session.run(stop.is_set)
            finally:
                if session.whole is not None:
                    command = write_files(out, wanted, session.whole, session.orders, ending, rules)
    finally:
        feed.close()
    if not session.bars and ending.how == "ended":
        raise _too_few(args, session.known, terms)
    _summarise(out, ending, session, command, closes=rules.close_at_end)
    return {"ended": 0, "interrupted": INTERRUPTED, "stopped": STOPPED}[ending.how]


def _see_certificate(args: argparse.Namespace, manifest: Mapping[str, Any]) -> None:
    """See that nobody trades a champion that failed without saying so.

    Raises:
        UserError: it failed, and `--uncertified` was not said.
    """
    own = manifest["certificate"]
    if own is not None and own["member_verdict"] == "fail" and not args.uncertified:
        raise UserError(f"{args.bundle}: {certificate_words(manifest)}; --uncertified trades it on paper all the same")


def _limits(args: argparse.Namespace, manifest: Mapping[str, Any]) -> Limits:
    """What the guard holds to: the options, else the bundle's caps."""
    clock, risk = manifest["clock"], manifest["risk"]
    stale = clock["longest_gap"] + clock["seconds"] if args.stale is None else args.stale
    usual = {
        "max_drawdown": risk["max_drawdown"],
        "max_daily_loss": risk["max_daily_loss"],
        "max_exposure": risk["max_exposure"],
        "stale": stale,
        "grace": stale,
        "kill_file": str((args.kill_file or args.out / "kill").expanduser().absolute()),
    }
    said = {name: getattr(args, name) for name in usual if name != "kill_file" and getattr(args, name) is not None}
    return build(Limits, {**usual, **said})


def _feed(args: argparse.Namespace, manifest: Mapping[str, Any]) -> tuple[Feed, str]:
    """Where bars come from, and whose they are."""
    symbol, feed = args.symbol or manifest["instrument"]["symbol"], args.feed
    if args.start is not None and args.bars is None:
        raise UserError("--from: is for --bars alone; a live feed begins where it is")
    made: Feed
    if args.bars is not None:
        bars = _read(args.bars, args, manifest)
        start, symbol = _stamp(args.start), bars.symbol
        if start is not None and start > bars.time[-1]:
            raise UserError(f"{args.bars}: no bar at or after {stamp(start)}; the file ends {stamp(bars.time[-1])}")
        made = FileFeed(bars, start)
    elif feed == "stdin":
        own = manifest["instrument"]["symbol"]
        if symbol != own and not args.any_symbol:
            raise UserError(f"--symbol {symbol}: the bundle is for {own}; --any-symbol trades it all the same")
        one = None if args.any_symbol else symbol
        made = LinesFeed(standard_lines(), columns=manifest["features"]["columns"], symbol=one)
    else:
        kind, _, rest = feed.partition(":")
        exchange, _, rest = rest.partition(":")
        market, _, timeframe = rest.rpartition(":")
        if kind != "ccxt" or not (exchange and market and timeframe):
            raise UserError(
                f"--feed {feed}: right is stdin or ccxt:EXCHANGE:SYMBOL:TIMEFRAME, as in ccxt:kraken:BTC/USD:1h"
            )
        found = ExchangeFeed(open_exchange(exchange), market, timeframe)
        usual = float(manifest["clock"]["seconds"])
        if found.seconds != usual:
            raise UserError(f"--feed {feed}: bars of {found.seconds:g} s, but this champion's are {usual:g} s long")
        made, symbol = found, market
    if args.warm_up is not None:
        made = Prefaced(made, _read(args.warm_up, args, manifest))
    return made, symbol


def _read(path: Path, args: argparse.Namespace, manifest: Mapping[str, Any]) -> Bars:
    """The bars of a file; of many symbols, the one that was asked for or the bundle's own."""
    series = read_bars(path, read_settings(args), where="")
    own = manifest["instrument"]["symbol"]
    chosen = series if len(series) == 1 else [bars for bars in series if bars.symbol == own]
    if not chosen:
        names = ", ".join(bars.symbol for bars in series[:8])
        raise UserError(f"{path}: has {len(series)} symbols ({names}, …), but not {own}; choose one with --symbol")
    if chosen[0].symbol != own and not args.any_symbol:
        raise UserError(
            f"{path}: bars of {chosen[0].symbol}, but the bundle is for {own}; --any-symbol trades them all the same"
        )
    check_length(chosen[0].time, float(manifest["clock"]["seconds"]), str(path))
    return chosen[0]


def _see_enough(args: argparse.Namespace, feed: Feed, terms: Terms) -> None:
    """See, before there is a folder, that a file has a bar to trade behind what is there to warm up with.

    Raises:
        UserError: it has none, or those that are to be traded are of another length than the champion's.
    """
    file = _file_of(feed)
    if file is None:
        return
    before = feed.history(terms.warm_up - 1)
    if before:
        feed.after(before[-1].time)
    opens = file.opens
    check_length(opens, terms.seconds, f"{args.bars}, the bars to trade", least=_RULE)
    if len(before) + len(opens) < terms.warm_up or not len(opens):
        raise _too_few(args, len(before) + len(opens), terms)


def _file_of(feed: Feed) -> FileFeed | None:
    """The file whose bars are traded, if it is one."""
    inner = feed.feed if isinstance(feed, Prefaced) else feed
    return inner if isinstance(inner, FileFeed) else None


def _too_few(args: argparse.Namespace, known: int, terms: Terms) -> UserError:
    """What to raise where a feed ended before a bar could be traded."""
    name = args.bars or args.feed
    if args.warm_up is not None and known >= terms.warm_up - 1:
        return UserError(f"{name}: no bar came after the warm-up; give bars to trade")
    return UserError(
        f"{name}: {known} bars, but a decision of this champion needs {terms.warm_up}; "
        "give more, or older ones with --warm-up"
    )


def _see_start(args: argparse.Namespace, feed: Feed, session: Session, screen: Screen) -> None:
    """Say that an account that is there does not begin elsewhere.

    Raises:
        UserError: the start would leave out bars that the account has to go through.
    """
    start, file = _stamp(args.start), _file_of(feed)
    if start is None or file is None or not session.bars:
        return
    first, last = session.bars[0].time, session.bars[-1].time
    if start > last:
        raise UserError(
            f"--from {args.start}: the account goes on after {stamp(last)}, and may leave out no bar; "
            "leave --from away, or begin another in another directory"
        )
    if file.begins != first:
        screen.note(f"--from {args.start} is not used: the account began {stamp(first)} and goes on")


def _see_holdout(feed: Feed, manifest: Mapping[str, Any], screen: Screen) -> None:
    """Say that a file's bars are those that the champion is to be judged on; it goes on, for trading is not judging.

    Of a certified champion they have been looked at already, and of a made-up market the stamps say nothing.
    """
    file, data = _file_of(feed), manifest["data"]
    if file is None or data["holdout"] is None or manifest["certificate"] is not None:
        return
    if data.get("made_up") is not None or file.symbol not in data["symbols"]:
        return
    first, last = (np.datetime64(end.removesuffix("Z"), "us") for end in data["holdout"])
    opens = file.opens
    if ((first <= opens) & (opens <= last)).any():
        screen.note(
            f"these are bars of its run's holdout ({stamp(first)} to {stamp(last)}): what is looked at here is no "
            f"longer unseen; arena certify {manifest['champion']['run_id']} first"
        )


def _stamp(text: str | None) -> np.datetime64 | None:
    if text is None:
        return None
    stamp: np.datetime64 = parse_stamps([pl.Series([text])], day_first=None, source="--from", key="--day-first").time[0]
    if np.isnat(stamp):
        raise UserError(f"--from {text}: is not a time; right is one in UTC such as 2024-05-01 or 2024-05-01T13:00:00")
    return stamp


def _outline(screen: Screen, terms: Terms, manifest: Mapping[str, Any], session: Session) -> None:
    """What is about to trade, and what should be known beforehand."""
    champion, own = manifest["champion"], manifest["instrument"]["symbol"]
    rules = manifest.get("inference")
    who = "router" if rules is not None and rules["who"] == "router" else f"{champion['species']} {champion['id']}"
    screen.head(f"{who} of run {champion['run_id']} trades {terms.symbol}")
    screen.note(certificate_words(manifest))
    if terms.symbol != own:
        screen.note(f"the bundle is for {own}; these are bars of {terms.symbol}")
    if session.bars:
        screen.note(f"goes on after {stamp(session.bars[-1].time)}, bar {len(session.bars):,} of its journal")


def _summarise(out: Path, ending: Ending, session: Session, command: str, *, closes: bool) -> None:
    """A few lines of what came out."""
    say(f"{ending.how}: {ending.why}")
    standing = session.standing
    if session.bars:
        held = f"{units(standing.units)} units held" if standing.units else "flat"
        say(f"{len(session.bars):,} bars, equity {standing.equity:,.2f} at the last close, {held}")
        if standing.units and ending.how == "ended" and closes:
            say("the files close it there (close_at_end); given more bars, the account goes on with it")
        say(f"the same, from its orders: {command}")
    print(out)
