"""`arena check` on a small run of networks and forests: nothing looks ahead, and a leak in what is decided is named."""

import re
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from small_bundles import small_run
from small_runs import arena

from arena.journey import witness
from experiments.checks.check import Report, check_run
from experiments.checks.works import Works
from experiments.runs.directory import RunDirectory
from markets import regimes
from markets.bars import CLOSE
from markets.features import compute_features

pytestmark = pytest.mark.usefixtures("plainly_compiled")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return small_run(tmp_path_factory)


def report(run: RunDirectory, **works: Any) -> Report:
    (made,) = check_run(run, cuts=2, works=Works(**works))
    return made


def kinds(made: Report) -> set[str]:
    return {finding.kind for check in made.checks for finding in check.findings}


def champions(run: RunDirectory) -> set[str]:
    rows = run.read("archive").select("id", "generation").unique().to_dicts()
    often = [row["id"] for row in rows]
    return {
        f"{row['id']} of generation {row['generation']}" if often.count(row["id"]) > 1 else str(row["id"])
        for row in rows
    }


def test_every_champion_of_now_and_before_is_followed_and_nothing_looks_ahead(run: RunDirectory) -> None:
    made = report(run)
    assert kinds(made) == set()
    checks = {check.what: check for check in made.checks}
    assert list(checks) == ["features", "regimes", "scaler", "split", "labels", "tape", "decisions", "warm-up"]
    assert [name for name, check in checks.items() if not check.done] == ["labels"]
    who = len(champions(run))
    assert checks["decisions"].compared.startswith(f"{who} champion")
    lanes = [min(made.subject.row(0, stamp), 1024) for stamp in made.stamps]
    assert f"{who * sum(lanes):,} decisions" in checks["decisions"].compared
    assert [row.bars for row in made.begun if row.bars >= made.warm_up] == [
        made.warm_up,
        made.warm_up + 1,
        2 * made.warm_up,
    ]
    assert all(row.differ == 0 for row in made.begun if row.bars >= made.warm_up)
    assert made.begun[0].differ > 0
    assert {row.decisions for row in made.begun} == {who * 256}
    for other in check_run(run, cuts=2, seed=5):
        assert other.stamps != made.stamps


def test_a_champion_that_is_shown_the_bar_after_is_named(run: RunDirectory) -> None:
    def ahead(setup: Any, traders: Any, tape: Any, *lanes: Any, **options: Any) -> Any:
        shown = tape._replace(features=jnp.roll(tape.features, -1, axis=0))
        return witness(setup, traders, shown, *lanes, **options)

    made = report(run, decisions=ahead)
    found = {finding.kind: finding for check in made.checks for finding in check.findings}
    named = {f"decision of champion {name}" for name in champions(run)}
    assert set(found) <= named | {f"warm-up of champion {name}" for name in champions(run)}
    assert len(set(found) & named) >= 2
    rows = {made.subject.row(0, stamp) - 1 for stamp in made.stamps}
    assert {finding.row for kind, finding in found.items() if kind in named} <= rows


def test_a_feature_that_remembers_more_than_it_says_needs_more_warm_up(run: RunDirectory) -> None:
    def running(chosen: Any, bars: Any) -> np.ndarray:
        matrix = compute_features(chosen, bars)
        close = np.log(bars.mid[:, CLOSE])
        matrix[:, 0] = close - np.cumsum(close) / np.arange(1, len(bars) + 1)
        return matrix

    kind = {re.sub(r"[0-9].*", "", name) for name in kinds(report(run, features=running))}
    assert kind == {"warm-up of champion "}


def test_the_command_says_so_in_a_table_and_with_its_exit_code(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code, said, complaint = arena("check", str(run.root), "--cuts", "1")
    assert (code, complaint) == (0, "")
    assert said.splitlines()[-1] == "Nothing looks ahead."
    assert all(len(line) <= 80 for line in said.splitlines())
    assert re.search(r"^decisions .*\bok$", said, re.MULTILINE)

    def rank_in_all(values: np.ndarray, bars: int) -> np.ndarray:
        known = np.isfinite(values)
        rank = np.full(len(values), np.nan)
        rank[known] = np.argsort(np.argsort(values[known])) / max(known.sum(), 1)
        return rank

    monkeypatch.setattr(regimes, "rolling_rank", rank_in_all)
    code, said, complaint = arena("check", str(run.root), "--cuts", "1")
    assert (code, complaint) == (1, "")
    for kind in ("regime", "regime rank", "tape regime"):
        assert re.search(rf"^{kind}: SYN1, row [0-9,]+, 20..-..-.. ..:..: is another where bars", said, re.MULTILINE)
    assert said.splitlines()[-1].endswith("look ahead.")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--cuts", "0"), "--cuts: 0; right is at least 1"),
        (("--seed", "-1"), "--seed: -1; right is 0 or more"),
        (("--replicate", "2"), "--replicate: 2 of a run that has 1; right is 1 to 1"),
    ],
)
def test_mistakes_get_one_line(words: tuple[str, ...], line: str, run: RunDirectory) -> None:
    code, _, complaint = arena("check", str(run.root), *words)
    assert (code, complaint) == (2, f"arena: {line}\n")
