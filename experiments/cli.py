"""The `arena` command: finds the command a user named, loads its module alone, and turns mistakes into one line.

Each command is a module with `add_arguments(parser)` and `run(args) -> int`, and `epilog(words) -> str` where its help
says more. It is imported only when it runs, so that `arena --help` answers at once and starts no JAX. A new command is
one line in `COMMANDS`.

Exit codes: 0 done; 2 a user's mistake, one line each on standard error; 3 the risk guard of `arena paper` stopped it;
130 interrupted; 141 the reader of the output went away. Anything else that goes wrong is a fault of ours and keeps its
traceback; the code is then 1.
"""

import argparse
import difflib
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from experiments.exits import CLOSED, INTERRUPTED, MISTAKE
from experiments.mistakes import lines_of
from markets.errors import UserError

__all__ = ["COMMANDS", "Command", "main"]

_ABOUT = "An evolutionary arena for trading agents: real accounting, populations at device speed, full lineage."


class Command(NamedTuple):
    """One command: its name (of one word or two), the module that carries it out, and one line of help."""

    name: str
    module: str
    help: str


COMMANDS = (
    Command("evolve", "experiments.commands.evolve", "breed agents on a market, in one run or in a sweep of runs"),
    Command("resume", "experiments.commands.resume", "go on with a run from its last checkpoint"),
    Command("runs", "experiments.commands.runs", "list the runs there are, with state and best scores"),
    Command("show", "experiments.commands.show", "show one run: how far it is, who was born, who its champions are"),
    Command("check", "experiments.commands.check", "see that nothing of a run looks ahead"),
    Command("report", "experiments.commands.report", "write the report on a run: one HTML file that works offline"),
    Command("lineage", "experiments.commands.lineage", "show or write who descends from whom, in a run or a file"),
    Command(
        "trees", "experiments.commands.trees", "look at a forest of a run or a file, or write it as ONNX or XGBoost"
    ),
    Command("grid", "experiments.commands.grid", "try other decision rules of a run's champions on validation"),
    Command("certify", "experiments.commands.certify", "judge a run's champions on its holdout, which is opened once"),
    Command("export", "experiments.commands.export", "write a champion as a bundle that a live bot loads"),
    Command("prune", "experiments.commands.prune", "say what of a run nobody needs any more, and free it"),
    Command("verify", "experiments.commands.verify", "see that a bundle is whole and decides as its champion did"),
    Command(
        "data check", "experiments.commands.data_check", "read files of bars and say what is in them and what is wrong"
    ),
    Command("data make", "experiments.commands.data_make", "write the bars of a ready-made market as Parquet"),
    Command("replay", "experiments.commands.replay", "send explicit orders through the broker, exactly"),
    Command(
        "paper", "experiments.commands.paper", "trade a champion's bundle on paper, bar by bar, until it is stopped"
    ),
    Command(
        "edge", "experiments.commands.edge", "show that evolution finds a known edge, and none where there is none"
    ),
    Command(
        "founders", "experiments.commands.founders", "show whether founders from other libraries help on unseen bars"
    ),
    Command(
        "learning", "experiments.commands.learning", "show what learning inside a life and evolution add to each other"
    ),
    Command("evidence", "experiments.commands.evidence", "show that certificates tell noise from edge"),
    Command("scars", "experiments.commands.scars", "show whether scars keep agents from being ruined again"),
    Command("bench", "experiments.commands.bench", "measure how fast this machine turns worlds"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that arguments name.

    Args:
        arguments: the words after `arena`; those of the command line by default.

    Returns:
        The exit code.
    """
    _print_anything()
    try:
        try:
            return _dispatch(list(sys.argv[1:] if arguments is None else arguments))
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return _fail(["interrupted"], INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED
    except Exception as error:
        lines = lines_of(error)
        if lines is None:
            raise
        return _fail(lines, MISTAKE)


def _print_anything() -> None:
    """Have output that its encoding cannot write (names of files, signs beyond ASCII) written as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _dispatch(words: list[str]) -> int:
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    if words[:1] in (["--version"], ["-V"]):
        from importlib.metadata import version

        print(f"arena {version('lineage-arena')}")
        return 0
    for command in COMMANDS:
        names = command.name.split()
        if words[: len(names)] == names:
            return _carry_out(command, words[len(names) :])
    prefix = words[:1] if any(command.name.startswith(f"{words[0]} ") for command in COMMANDS if words) else []
    rest = words[len(prefix) :]
    if not rest or rest[0] in ("-h", "--help"):
        print(_overview(*prefix))
        return 0 if rest else MISTAKE
    wanted = " ".join([*prefix, rest[0]])
    if rest[0].startswith("-"):
        raise UserError(f"{rest[0]}: unknown option; see arena --help")
    close = difflib.get_close_matches(wanted, [command.name for command in COMMANDS], n=1)
    raise UserError(f"{wanted}: unknown command; {f'did you mean arena {close[0]}?' if close else 'see arena --help'}")


def _carry_out(command: Command, words: list[str]) -> int:
    """Parse what follows a command with its own module's arguments, and run it."""
    module = importlib.import_module(command.module)
    parser = _Parser(
        prog=f"arena {command.name}",
        description=f"{command.help[0].upper()}{command.help[1:]}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    if {"-h", "--help"} & set(words):
        parser.epilog = module.epilog(words) if hasattr(module, "epilog") else None
        print(parser.format_help(), end="")
        return 0
    return int(module.run(parser.parse_intermixed_args(words)))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{self.prog.removeprefix('arena ')}: {message}; see {self.prog} --help")


def _overview(group: str = "") -> str:
    """The help of `arena`, or of a first word that several commands share."""
    shown = [command for command in COMMANDS if command.name.startswith(f"{group} " if group else "")]
    width = max(len(command.name) for command in shown)
    head = f"arena {group}".rstrip()
    return "\n".join(
        [
            f"usage: {head} COMMAND ...",
            "",
            *([] if group else [_ABOUT, ""]),
            "commands:",
            *(f"  {command.name:<{width}}  {command.help}" for command in shown),
            "",
            "arena COMMAND --help says more about each; arena --version says which arena this is.",
        ]
    )


def _fail(lines: Sequence[str], code: int) -> int:
    """Say what went wrong, a line each."""
    for line in lines:
        print(f"arena: {line}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
