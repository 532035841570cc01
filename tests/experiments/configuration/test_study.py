"""What a user can get wrong with a study: one line, exit code 2, nothing written."""

import re
from pathlib import Path

import pytest
from small_runs import SMALL, arena


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (("evolution.agent=3",), "evolution.agent: unknown key; did you mean evolution.agents?"),
        (("evolution.agents=many",), "evolution.agents: expected a whole number, got 'many'"),
        (("evolution.agents=15",), "evolution.agents: 15 agents cannot live on 2 islands"),
        (("evolution.generations=0",), "evolution.generations: 0 must be at least 1"),
        (("evolution.generations=300000000",), "evolution.generations: 300000000 generations of 16 agents"),
        (("turnover.culled=1.0",), "turnover.culled: 1.0 must be below 1.0"),
        (("broker.max_leverage=-1",), "broker.max_leverage: -1"),
        (("costs.SYN1.cash=3",), "costs.SYN1.cash: cannot differ by symbol"),
        (("costs.SYN9.commission=0.1",), "costs.SYN9: no such symbol; there are: SYN1"),
        (("force=maybe",), "force: expected true or false, got 'maybe'"),
        (("runs_dir=3",), "runs_dir: expected a folder, got 3"),
        (("runs_dir=",), "runs_dir: expected a folder, got ''"),
        (("record.fitness=some",), "record.fitness: 'some' is not one of all, births, archive"),
        (("terminal.progress=3",), "terminal.progress: expected true or false, got 3"),
        (("market.bars=100",), r".*(bars|split)"),
        (("episodes.bars=2000",), r".*(episodes\.bars|split)"),
        (("device.count=4096",), r"device\.count: 4096 devices asked for, \d+ there; at most that many"),
        (("species=[]",), "species"),
        (
            ("market.name=forex",),
            "market: 'forex' is not a market; there are: synthetic, momentum, reversion, precursor",
        ),
    ],
)
def test_a_mistake_in_the_configuration_is_one_line(overrides: tuple[str, ...], says: str, tmp_path: Path) -> None:
    code, _, complaint = arena("evolve", *SMALL, f"runs_dir={tmp_path / 'runs'}", *overrides)
    assert code == 2
    assert re.match(f"arena: {says}", complaint), complaint
    assert complaint.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_bars_that_are_not_named_or_not_there_are_one_line(tmp_path: Path) -> None:
    own = ("evolve", f"runs_dir={tmp_path / 'runs'}", "market=bars")
    assert arena(*own)[2].startswith("arena: market.path: missing")
    code, _, complaint = arena(*own, f"market.path={tmp_path}/none.csv")
    assert code == 2
    assert complaint.startswith(f"arena: {tmp_path}/none.csv: ")
    bad = tmp_path / "bad.csv"
    bad.write_text("this,is\nno,bars\n")
    code, _, complaint = arena(*own, f"market.path={bad}")
    assert code == 2
    assert complaint.startswith(f"arena: {bad}: ")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.csv"]


def test_a_folder_of_runs_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, complaint = arena("evolve", *SMALL, f"runs_dir={tmp_path / 'file' / 'runs'}")
    assert code == 2
    assert re.match(r"arena: runs_dir: .* cannot be written \(.*\); name another folder\n$", complaint), complaint
