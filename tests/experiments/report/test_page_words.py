"""Prices as the page writes them, run in Node: as many digits as the price's own range wants."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import experiments.report
from experiments.report.bundle import bundle

NODE = shutil.which("node")
PAGE = Path(experiments.report.__file__).parent / "page"
SCRIPT = """
import { priceDigits } from "./champions/journey_bars.js";
import { priceTick, priceWords } from "./champions/journey_words.js";
const given = JSON.parse(require("fs").readFileSync(0, "utf8"));
const bars = { length: 2, low: [NaN, given.low], high: [given.high, NaN] };
bars.digits = priceDigits(bars);
console.log(JSON.stringify([priceWords(given.value, bars), priceTick(given.tick, bars)]));
"""


@pytest.mark.skipif(NODE is None, reason="the page's words run in Node, which is not installed")
@pytest.mark.parametrize(
    ("low", "high", "value", "tick", "words"),
    [
        (1.02, 1.24, 1.12345, 1.15, ["1.12345", "1.15"]),
        (130.0, 160.0, 150.123, 150.0, ["150.123", "150"]),
        (1e-5, 2e-5, 1.234e-5, 1.5e-5, ["0.000012340", "0.000015"]),
        (16_000.0, 69_000.0, 43_210.4, 40_000.0, ["43,210", "40,000"]),
        (4_000.0, 4_010.0, 4_003.25, 4_002.5, ["4,003.250", "4,002.5"]),
        (7.0, 7.0, 7.0, 7.0, ["7.0000", "7"]),
    ],
)
def test_a_price_has_the_digits_that_its_range_wants(
    low: float, high: float, value: float, tick: float, words: list[str]
) -> None:
    assert NODE is not None
    sources = {path.relative_to(PAGE).as_posix(): path.read_text(encoding="utf-8") for path in PAGE.rglob("*.js")}
    given = json.dumps({"low": low, "high": high, "value": value, "tick": tick})
    script = bundle({**sources, "entry.js": SCRIPT}, "entry.js")
    done = subprocess.run([NODE, "-e", script], input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == words
