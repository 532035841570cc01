"""What is shown while a run goes on and at its end: aligned, within 80 columns, and plain in a pipe."""

import io
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from arena.schemas import REGIME_NAMES, TABLES
from experiments import terminal
from experiments.terminal import Progression, duration, outline, say, standings_lines, steps


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal of 80 columns."""
    file = io.StringIO()
    monkeypatch.setattr(
        terminal, "console", Console(file=file, force_terminal=True, width=80, height=24, highlight=False)
    )
    return file


def generation(
    number: int, regimes: tuple[str, ...] = (), best: float = 1e-4, seconds: float = 0.5
) -> dict[str, pl.DataFrame]:
    """Tables of a generation on two islands, as far as they are shown."""
    island: dict[str, Any] = {"generation": [number] * 2, "island": [0, 1], "species": ["qnetwork"] * 2}
    counts: dict[str, Any] = {"best": [best, best / 2], "median": [-1e-4, 3e-4], "deaths": [3, 4], "scars": [1, 0]}
    rest = {name: [0, 0] for name in TABLES["generations"] if name not in {**island, **counts}}
    gained = [{"generation": number, "fold": 0, "regime": r, "id": 7, "score": 2e-4} for r in regimes]
    return {
        "generations": pl.DataFrame({**island, **counts, **rest}, schema_overrides=TABLES["generations"]),
        "timings": pl.DataFrame({"generation": [number], "seconds": [seconds], "agent_bars_per_second": [2_500_000.0]}),
        "archive": pl.DataFrame(gained, schema={name: TABLES["archive"][name] for name in list(TABLES["archive"])[:5]}),
    }


def test_a_pipe_gets_a_heading_and_an_aligned_line_a_generation(capsys: pytest.CaptureFixture[str]) -> None:
    with Progression(9, 1000) as shown:
        shown.show(generation(9, REGIME_NAMES, best=0.0123))
        shown.show(generation(999))
    head, first, second = capsys.readouterr().out.splitlines()
    assert first.split() == ["9", "+123.000", "+1.000", "7", "1", "2.50", "M", "bull", "bear", "vol", "calm", "all"]
    assert second.split() == ["999", "+1.000", "+1.000", "7", "1", "2.50", "M"]
    assert max(map(len, (head, first, second))) <= 80
    assert "\x1b" not in head + first + second
    for column, value in (("gen", "9"), ("bp/bar", "+123.000"), ("median", "+1.000"), ("deaths", "7"), ("scars", "1")):
        assert head.index(column) + len(column) == first.index(f" {value} ") + 1 + len(value), column
    assert head.index("new champions") == first.index("bull")


def test_steps_are_lines_of_a_log_and_come_and_go_in_a_terminal(
    capsys: pytest.CaptureFixture[str], screen: io.StringIO
) -> None:
    with steps() as tell:
        tell("reading [x]")
    assert "reading [x]" in screen.getvalue(), "as it is, no markup"
    assert not screen.getvalue().endswith("\n")
    assert capsys.readouterr().out == ""
    terminal.console = Console(highlight=False, width=80)
    with steps() as tell:
        tell("reading")
        tell("writing")
    assert capsys.readouterr().out == "reading\nwriting\n"


def test_a_log_is_told_each_time_the_time_left_has_halved(capsys: pytest.CaptureFixture[str]) -> None:
    with Progression(0, 20) as shown:
        for number in range(20):
            shown.show(generation(number, seconds=60.0 if number == 0 else 10.0))
    lines = capsys.readouterr().out.splitlines()
    told = [(number, line) for number, line in enumerate(lines) if line.endswith("left")]
    assert [line.strip() for _, line in told] == [
        "about 3 min left",
        "about 1.5 min left",
        "about 40 s left",
        "about 20 s left",
    ]
    assert told[0][0] == 3  # behind the second generation: the first says little
    assert len(lines) == 1 + 20 + len(told)


def test_a_terminal_shows_the_time_left_from_the_beginning(screen: io.StringIO) -> None:
    def picture(shown: Progression) -> str:
        drawn = Console(file=io.StringIO(), width=80, force_terminal=False)
        drawn.print(shown._picture(""))
        assert isinstance(drawn.file, io.StringIO)
        return drawn.file.getvalue().splitlines()[0]

    with Progression(10, 20, expected=30.0) as shown:
        assert "10/20" in picture(shown)
        assert picture(shown).rstrip().endswith("about 5 min left")
        shown.show(generation(10, seconds=6.0))
        assert picture(shown).rstrip().endswith("about 54 s left")
        shown.show(generation(19, seconds=6.0))
        assert "left" not in picture(shown)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0 s"),
        (0.62, "0.6 s"),
        (1.0, "1 s"),
        (42.4, "42 s"),
        (100.0, "1.7 min"),
        (120.0, "2 min"),
        (3000.0, "50 min"),
        (9000.0, "2.5 h"),
        (1e6, "12 days"),
    ],
)
def test_times_are_said_in_two_figures(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_progress_that_is_not_wanted_says_nothing(capsys: pytest.CaptureFixture[str], screen: io.StringIO) -> None:
    with Progression(0, 2, shown=False) as shown:
        shown.show(generation(0))
    assert capsys.readouterr().out == screen.getvalue() == ""


def test_a_terminal_gets_a_picture_that_fits_and_goes_away(screen: io.StringIO) -> None:
    with Progression(0, 2) as shown:
        shown.show(generation(0, ("bear_trending",)))
        shown.show(generation(1))
        picture = Console(file=io.StringIO(), width=80, force_terminal=False)
        picture.print(shown._picture("    last line"))
        assert isinstance(picture.file, io.StringIO)
        lines = picture.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "2/2" in lines[0]
    assert next(line for line in lines if "bear_trending" in line).split() == ["bear_trending", "7", "+2.000"]
    assert next(line for line in lines if "calm_ranging" in line).split() == ["calm_ranging", "–", "–"]
    assert "14 deaths   2 scars" in lines[-1]
    assert screen.getvalue().endswith("\x1b[2K  2.50 M agent-bars/s   14 deaths   2 scars\n")  # all else is gone


def test_what_is_said_stays_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    say("runs/[bold]:smile:/" + "x" * 200)
    outline("run 1", {"market": ("one", "two"), "folder": ("[red]a",)})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "runs/[bold]:smile:/" + "x" * 200
    assert lines[1:] == ["run 1", "  market  one", "          two", "  folder  [red]a"]


def test_the_table_has_every_regime_and_player_in_columns() -> None:
    rows = [
        {
            "split": split,
            "player": player,
            "id": 1234567 if player == "champion" else None,
            "regime": regime,
            "bars": 0 if (player, regime) == ("oracle", "all") else 100,
            "log_return": 0.0123,
            "annual": None,
            "sharpe": None if player == "flat" else -12.345,
            "max_drawdown": 0.5,
            "trades": 12345,
        }
        for split in ("train", "validation")
        for player in ("champion", "flat", "buy and hold", "oracle")
        for regime in REGIME_NAMES
        if (player, regime) != ("champion", "calm_ranging")
    ]
    lines = [line.plain for line in standings_lines(pl.DataFrame(rows, infer_schema_length=None), "title")]
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line in REGIME_NAMES] == list(REGIME_NAMES)
    body = lines[lines.index("bull_trending") + 1 :]
    own = "+1.230 -12.35 50.0 % 12345".replace("-12.35", f"{-12.345:.2f}").split()
    assert body[0].split() == ["champion", "1234567", *own, *own]
    assert body[1].split()[:3] == ["flat", "+1.230", "–"]
    assert lines[lines.index("calm_ranging") + 1] == "  no champion yet"
    assert lines[-1].split() == ["oracle", *["–"] * 8]
    assert len({len(line) for line in body[:3]}) == 1
