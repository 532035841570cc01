"""The `arena` command: finding commands, help, exit codes, and mistakes told in one line without a traceback."""

import argparse
import errno
import os
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from experiments import cli
from experiments.cli import COMMANDS, Command, main
from experiments.commands.overrides import add_override_arguments, epilog, run_jobs
from experiments.mistakes import MistakesError
from experiments.runs.sweeps import Runner
from markets.errors import UserError

Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a command in the place of all others: its name, and what its `run` does."""

    def install(run: Callable[[argparse.Namespace], int], name: str = "try it") -> None:
        module = types.ModuleType("tried")
        module.add_arguments = lambda parser: parser.add_argument("words", nargs="*")  # type: ignore[attr-defined]
        module.run = run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "tried", module)
        monkeypatch.setattr(cli, "COMMANDS", (Command(name, "tried", "try something"),))

    return install


def raising(error: BaseException) -> Callable[[argparse.Namespace], int]:
    def run(args: argparse.Namespace) -> int:
        raise error

    return run


def test_the_overview_names_every_command_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: arena COMMAND")
    rows = [line.split(None, len(command.name.split())) for command, line in zip(COMMANDS, _listed(out), strict=True)]
    assert [" ".join(row[:-1]) for row in rows] == [command.name for command in COMMANDS]
    assert [row[-1] for row in rows] == [command.help for command in COMMANDS]
    starts = {line.index(command.help) for command, line in zip(COMMANDS, _listed(out), strict=True)}
    assert len(starts) == 1


def _listed(out: str) -> list[str]:
    body = out.split("commands:\n")[1].split("\n\n")[0]
    return body.splitlines()


def test_no_command_at_all_is_answered_with_the_overview_and_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "commands:" in capsys.readouterr().out
    assert main(["data"]) == 2
    assert [line.split()[:2] for line in _listed(capsys.readouterr().out)] == [["data", "check"], ["data", "make"]]


def test_help_may_come_first(capsys: pytest.CaptureFixture[str], install: Install) -> None:
    install(lambda args: 0)
    assert main(["help", "try", "it"]) == 0
    first = capsys.readouterr().out
    assert main(["try", "it", "--help"]) == 0
    assert capsys.readouterr().out == first
    assert first.startswith("usage: arena try it")
    assert "Try something." in first


def test_help_shows_a_modules_own_epilog_for_the_words_given(
    capsys: pytest.CaptureFixture[str], install: Install
) -> None:
    install(lambda args: 1)
    sys.modules["tried"].epilog = lambda words: f"more about\n  {words}"  # type: ignore[attr-defined]
    assert main(["try", "it", "a=1", "-h"]) == 0
    assert capsys.readouterr().out.endswith("more about\n  ['a=1', '-h']\n")


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"arena {version('lineage-arena')}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evolv"], "arena: evolv: unknown command; did you mean arena evolve?\n"),
        (["data", "chek", "x"], "arena: data chek: unknown command; did you mean arena data check?\n"),
        (["zzz"], "arena: zzz: unknown command; see arena --help\n"),
        (["--zzz"], "arena: --zzz: unknown option; see arena --help\n"),
        (["evolve", "--zzz"], "arena: evolve: unrecognized arguments: --zzz; see arena evolve --help\n"),
        (
            ["data", "make"],
            "arena: data make: the following arguments are required: --out; see arena data make --help\n",
        ),
    ],
)
def test_a_wrong_command_line_is_one_line_and_code_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.err == message
    assert captured.out == ""


def test_the_command_gets_its_words_and_its_code_is_the_exit_code(install: Install) -> None:
    seen: list[list[str]] = []

    def run(args: argparse.Namespace) -> int:
        seen.append(args.words)
        return 7

    install(run)
    assert main(["try", "it", "a=1", "b"]) == 7
    assert seen == [["a=1", "b"]]


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("bars.csv: row 3: high < low"), 2, "arena: bars.csv: row 3: high < low\n"),
        (UserError("two\nlines"), 2, "arena: two lines\n"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a.csv"), 2, "arena: a.csv: No such file or "),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "arena: No space left on device\n"),
        (MemoryError(), 2, "arena: not enough memory; fewer evolution.agents"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes"), 2, "arena: not enough memory; fewer "),
        (ValueError("I/O error: No space left on device (os error 28)"), 2, "arena: No space left on device"),
        (KeyboardInterrupt(), 130, "arena: interrupted\n"),
    ],
)
def test_what_a_user_can_mend_is_one_line_without_a_traceback(
    error: BaseException, code: int, line: str, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install(raising(error))
    assert main(["try", "it"]) == code
    said = capsys.readouterr().err
    assert said.startswith(line)
    assert said.count("\n") == 1


def test_several_mistakes_are_a_line_each(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install(raising(MistakesError(["seed: -1\nis wrong", "agents: 0 is wrong"])))
    assert main(["try", "it"]) == 2
    assert capsys.readouterr().err == "arena: seed: -1 is wrong\narena: agents: 0 is wrong\n"


@pytest.mark.parametrize("error", [RuntimeError("ours"), OSError(errno.EIO, "ours"), ValueError("ours")])
def test_a_fault_of_ours_keeps_its_traceback(error: Exception, install: Install) -> None:
    install(raising(error))
    with pytest.raises(type(error), match="ours"):
        main(["try", "it"])


def test_a_reader_that_goes_away_is_met_with_silence() -> None:
    code = (
        "import sys, types\n"
        "from experiments import cli\n"
        "module = types.ModuleType('tried')\n"
        "module.add_arguments = lambda parser: None\n"
        "def run(args):\n"
        "    print('first', flush=True)\n"
        "    sys.stdin.readline()\n"
        "    print('second')\n"
        "    return 0\n"
        "module.run = run\n"
        "sys.modules['tried'] = module\n"
        "cli.COMMANDS = (cli.Command('try', 'tried', 'try'),)\n"
        "sys.exit(cli.main(['try']))\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "first\n"
        process.stdout.close()
        process.stdin.write("\n")
        process.stdin.close()
        assert process.stderr.read() == ""
        assert process.wait() == 141


def test_what_the_console_writes_to_nobody_ends_with_the_same_code(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, "-m", "experiments.cli", "runs", "--runs-dir", str(tmp_path)]
    try:
        done = subprocess.run(words, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


TOY = "toy_conf_of_cli"


@pytest.fixture(scope="module", autouse=True)
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("cli")
    (folder / TOY).mkdir()
    (folder / TOY / "__init__.py").write_text("")
    (folder / TOY / "config.yaml").write_text("seed: 0  # of all chance\nagents: 3\ndevice:\n  block: 1\n")
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))


def call(*words: str, job: Runner) -> int:
    parser = argparse.ArgumentParser()
    add_override_arguments(parser)
    return run_jobs(parser.parse_intermixed_args(words), job, module=TOY)


def test_one_run_gets_its_overrides_as_they_are() -> None:
    jobs: list[list[str]] = []
    assert call("seed=1", "agents=2", job=lambda job, _: jobs.append(job) or 4) == 4
    assert jobs == [["seed=1", "agents=2"]]


def test_the_composed_configuration_is_printed_without_running(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--cfg", "job", "agents=9", job=lambda *_: pytest.fail("a job was started")) == 0
    assert capsys.readouterr().out == "seed: 0\nagents: 9\ndevice:\n  block: 1\n"


def test_a_folder_of_ones_own_reaches_the_job(tmp_path: Path) -> None:
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra" / "mine.yaml").write_text("x: 1\n")
    jobs: list[list[str]] = []
    assert call("--config-dir", str(tmp_path), "+extra=mine", job=lambda job, _: jobs.append(job) or 0) == 0
    assert jobs == [[f"hydra.searchpath=['file://{tmp_path}']", "+extra=mine"]]


def test_help_describes_the_keys_under_the_overrides_given() -> None:
    text = epilog(["agents=8", "--out", "-h"], module=TOY)
    assert "agents=8" in text
    assert "of all chance" in text


def test_help_may_stand_beside_a_sweep_and_keys_of_the_users_own() -> None:
    assert "seed=1" in epilog(["-m", "seed=1,2", "--help"], module=TOY)
    assert "costs.EURUSD.commission=0.1" in epilog(["costs.EURUSD.commission=0.1"])
