"""The page in a bundle for the person who gets it: what this is, how it is loaded, how it is checked."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments.bundles.saying import MEMBERS, certificate_words
from markets.rules import BrokerRules

__all__ = ["readme"]

_BP = 1e4


def readme(manifest: Mapping[str, Any], decisions: int, left: Mapping[str, str]) -> str:
    """The page, as Markdown.

    Args:
        manifest: of the bundle; its hash and files are not needed.
        decisions: golden ones.
        left: what the bundle does without, and why.
    """
    champion, symbol, rules = manifest["champion"], manifest["instrument"]["symbol"], manifest.get("inference")
    head = "Router" if rules is not None and rules["who"] == "router" else f"Champion {champion['id']}"
    parts = [
        f"# {head} of run {champion['run_id']}, for {symbol}",
        _about(manifest),
        f"## What it trades\n\n{_table(('', ''), _trades(manifest))}",
        *([] if rules is None else [f"## How it decides\n\n{_rules(rules)}"]),
        _LOAD.format(warm_up=manifest["warm_up"], symbol=symbol, columns=_columns(manifest)),
        _CHECK.format(decisions=decisions),
        f"## What its run says of it\n\n{_scores(manifest)}",
        f"## Where it comes from\n\n{_origin(manifest)}",
        _TRUST.format(certificate=_certificate(manifest), risk=_risk(manifest)),
        f"## What lies here\n\n{_files(manifest, left)}",
    ]
    return "\n\n".join(parts) + "\n"


_LOAD = """## Load it

Python 3.11 or newer, `numpy` and `safetensors`; nothing of the arena. From the folder that holds this page:

```python
from runner import Account, Bar, Champion

champion = Champion.load(".")
champion.warm_up(history)  # {warm_up} closed bars of {symbol} or more, older first: Bar or a mapping made one
bar = Bar.from_mid("2030-01-01T00:00:00Z", 1.10, 1.12, 1.09, 1.11, volume=0.0, spread=0.0002{columns})
decision = champion.on_bar(bar, Account(equity=10_000.0, units=0.0))
if decision.order:
    ...  # hold decision.target × equity from the next open; stops are fractions of the entry price
```

A decision never raises over what a market does: where there is no order `decision.reason` says why. `champion.state()`
is all that is to be saved between two bars, and `champion.restore(state)` goes on from it."""

_CHECK = """## Check it

`python -m runner.golden` in this folder repeats {decisions} of its decisions from bars to orders, with NumPy alone, and
says where anything differs from what the arena saw, thought and asked. `arena verify` with this folder does that too,
by this runner, by the one installed and by onnxruntime, and checks every hash. `Champion.load` checks the hashes each
time."""

_TRUST = """## How far to trust it

{certificate} Scores are after the costs above, in a simulation of those bars; what the market does next is in none of
them.

{risk}"""

_FILES = (
    ("`manifest.json`", "all that is needed to act, and where it comes from; the hash of every other file"),
    ("`champion.safetensors`", "the brain, its genes, and what it remembers"),
    ("`brains/`", "the other brains that it decides by, likewise"),
    ("`certificate.json`", "how it was judged on the holdout, and what its record is worth"),
    ("`model.onnx`", "the brain alone: scaled features, then four numbers of the account, to action values"),
    ("`golden.npz`", "bars of its run, and what it saw, thought and asked on them"),
    ("`runner/`", "the Python package that acts"),
    ("`mt5/`", "an expert adviser for MetaTrader 5; put it and `model.onnx` into one folder and compile it there"),
)


def _files(manifest: Mapping[str, Any], left: Mapping[str, str]) -> str:
    """What lies in the folder, and what does not."""
    rules, absent = manifest.get("inference"), {f"`{name}`" for name in left}
    if rules is None or len(rules["brains"]) == 1:
        absent.add("`brains/`")
    if manifest["certificate"] is None:
        absent.add("`certificate.json`")
    table = _table(("file", "content"), [row for row in _FILES if row[0] not in absent])
    return "\n\n".join([table, *(f"There is no `{name}`: {why}." for name, why in left.items())])


def _certificate(manifest: Mapping[str, Any]) -> str:
    """What it is certified to be, in a sentence or two."""
    own = manifest["certificate"]
    if own is None:
        return "It carries no certificate: nobody has tested yet whether what it earned was luck."
    said = certificate_words(manifest).removeprefix("certificate: ")
    return (
        f"Its certificate: {said}. All of it stands in `certificate.json`: how it did on bars that nothing had read "
        f"before, judged at {100 * own['level']['used']:.2g} %, and how much was tried to find it."
    )


def _rules(rules: Mapping[str, Any]) -> str:
    """How it decides, by regime."""
    brains = [f"{brain['species']} {brain['id']}" for brain in rules["brains"]]
    rows = []
    for name, rule in rules["regimes"].items():
        own, heeded = rule["own"], [place for place, weight in enumerate(rule["weights"]) if weight]
        whose = brains[own]
        if heeded != [own] or rule["weights"][own] != 1.0:
            shares = [f"{rule['weights'][place]:.4g} × {brains[place]}" for place in heeded]
            whose += f", by {' + '.join(shares)}"
        seen = "as bred" if rule["lookback"] is None else f"{rule['lookback']} bars"
        words = (f"{rule['threshold']:.4g}", f"{rule['average']}", seen) if rule["acts"] else ("–",) * 3
        rows.append((name, whose if rule["acts"] else "flat", *words))
    table = _table(("regime", "who", "least gap", "bars averaged", "looks back"), rows)
    return (
        f"As {MEMBERS[rules['who']]}. What the brains say an action is worth is averaged over bars, weighted and added "
        f"up; where the two best are less apart than the least gap there is no order.\n\n{table}"
    )


def _about(manifest: Mapping[str, Any]) -> str:
    """What it is, in a paragraph."""
    champion, species = manifest["champion"], manifest["species"]
    held = ", ".join(champion["regimes"]) or "nothing any more"
    kinds = {"qnetwork": "a Q-network", "forest": "a forest"}
    kind = kinds.get(species["name"], species["name"])
    if species["name"] == "qnetwork":
        kind += f" of {' + '.join(str(units) for units in species['settings']['hidden'])} hidden units"
    if species["name"] == "forest":
        own = species["settings"]
        kind += f" of {own['market_trees']} + {own['state_trees']} {own['layout']} trees of depth {own['depth']}"
    return (
        f"It is {kind} that sees {len(manifest['features']['list'])} features of the market and four numbers of its "
        f"own account, and puts a value on {', '.join(manifest['actions']['names'])}. It was born in generation "
        f"{champion['born']}, is as it was in generation {champion['generation']}, and is the champion of: {held}."
    )


def _trades(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What it trades and what it takes for granted."""
    clock, broker = manifest["clock"], manifest["broker"]
    yield "instrument", f"{manifest['instrument']['symbol']}; trained on {_few(manifest['instrument']['trained_on'])}"
    yield (
        "bars",
        f"{_length(clock['seconds'])}, stamped by their open, UTC; steps up to {_length(clock['longest_gap'])}",
    )
    yield "warm-up", f"{manifest['warm_up']:,} bars before and with the first decision"
    yield "decides", f"{manifest['decision']['when']}; {manifest['decision']['held']}"
    genes, stops = manifest["genes"], ""
    if manifest["stops"]:
        stops = f", stop at {genes['stop']:.6g} ATR, take-profit at {genes['take_profit']:.6g} ATR"
    yield "stakes", f"{genes['size']:.6g} × equity at most{stops}"
    if manifest["memory"]["acts"]:
        yield "caution", f"up to {100 * manifest['memory']['strength']:g} % less where the market looks like its scars"
    if manifest["trust"]["scales_capital"]:
        yield "trust", f"stakes scale with its reputation by regime, from {manifest['trust']['floor']:g} on"
    yield "spreads", _spread(broker)
    charged = ("commission", "slippage", "calendar", "financing_long", "financing_short", "max_leverage")
    usual = {field.name: field.default for field in dataclasses.fields(BrokerRules)}
    left = {"spread", "spread_rate", *charged}
    others = [name for name, value in broker.items() if name not in left and value != usual.get(name)]
    yield "broker", ", ".join(f"{name} {_plain(broker[name])}" for name in (*charged, *others))


def _scores(manifest: Mapping[str, Any]) -> str:
    """Its scores by regime and split."""
    rows = manifest["scores"]
    if not rows:
        return "Nothing: the run kept no scores of that generation (`record.fitness`)."
    table = _table(
        ("regime", "split", "bars", "bp/bar", "score", "return", "Sharpe a bar", "deepest fall", "trades"),
        (
            (
                row["regime"],
                row["split"],
                f"{row['bars']:,}",
                _number(row["log_return_per_bar"], "+.3f", _BP),
                _number(row["score"], "+.3f", _BP),
                _number(row["return"], "+.2f", 100.0, " %"),
                _number(row["sharpe"], "+.4f"),
                _number(row["max_drawdown"], ".2f", 100.0, " %"),
                _number(row["trades"], ",d"),
            )
            for row in rows
        ),
    )
    return (
        f"{table}\n\nOver the windows it was judged on in generation {manifest['champion']['generation']}, after "
        "costs; bp/bar is log return a bar as it was, return that of all windows in a row. Score is what the archive "
        "holds of it where it won in that generation, as `arena show` has it: bp/bar too, but drawn toward the mean of "
        "those tried for the place, for part of any result is luck. It was chosen by `validation`, which flatters the "
        "other figures there; nothing here is of the holdout."
    )


def _origin(manifest: Mapping[str, Any]) -> str:
    """Its line, and the bars it was bred on."""
    line, data = manifest["ancestry"], manifest["data"]
    spans = [(name, data[name]) for name in ("train", "validation", "holdout") if data[name] is not None]
    return (
        f"{_descent(line)}\n\n"
        + _table(("part", "first bar", "last bar"), ((name, *map(_stamp, span)) for name, span in spans))
        + f"\n\n{data['bars']:,} bars of {manifest['instrument']['symbol']}; SHA-256 of all the run's bars "
        f"`{data['hash']}`. {_holdout(manifest)}"
    )


def _holdout(manifest: Mapping[str, Any]) -> str:
    if manifest["certificate"] is None:
        return "The holdout was never read."
    return "The holdout was read for the certificate alone, after all else."


def _descent(line: Sequence[Mapping[str, Any]]) -> str:
    """Who founded its line, and how each of the others came to be."""
    first, births = f"ounder {line[0]['id']} of run {line[0]['run_id']}", line[1:]
    if not births:
        return f"It is f{first} itself."
    by = [entry["operator"] for entry in births if entry["operator"] != "founder"]
    ways = [f"{by.count(way):,} by {way}" for way in dict.fromkeys(by)]
    ways += [
        f"1 as founder {entry['id']} of run {entry['run_id']}" for entry in births if entry["operator"] == "founder"
    ]
    return f"F{first}, then {len(births):,} birth{'s' if len(births) > 1 else ''}: {', '.join(ways)}."


def _risk(manifest: Mapping[str, Any]) -> str:
    risk = manifest["risk"]
    return (
        f"Caps for whoever trades it: exposure at most {risk['max_exposure']:g} × equity; close everything at a fall "
        f"of {100 * risk['max_drawdown']:g} % below the peak, or a loss of {100 * risk['max_daily_loss']:g} % in a day."
    )


def _table(head: Sequence[str], rows: Any) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(str(text).replace("|", "\\|").split())


def _number(value: float | None, form: str, times: float = 1, unit: str = "") -> str:
    return "–" if value is None else f"{value * times:{form}}{unit}"


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _spread(broker: Mapping[str, Any]) -> str:
    fixed = [f"{broker['spread']:g} in price"] if broker["spread"] is not None else []
    fixed += [f"{broker['spread_rate']:g} of the price"] if broker["spread_rate"] is not None else []
    return " and ".join(fixed) or "those of the bars"


def _columns(manifest: Mapping[str, Any]) -> str:
    names = manifest["features"]["columns"]
    return f", columns={{{', '.join(f'{name!r}: 0.0' for name in names)}}}" if names else ""


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _length(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _stamp(stamp: str) -> str:
    return stamp.replace("T", " ").removesuffix("Z").removesuffix(".000000").removesuffix(":00")
