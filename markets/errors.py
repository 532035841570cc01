"""The one exception that means "the user can mend this".

Whatever a user did wrong (a bad row, an unknown key, an impossible value) is raised as `UserError` with one line that
says what is wrong and what would be right. The command line prints that line and exits with 2; everything else that
is raised is a fault of ours and keeps its traceback.
"""

__all__ = ["UserError"]

_HEAD, _TAIL = 900, 300
"""Characters kept of a message that grew too long with what it quotes."""


class UserError(ValueError):
    """A mistake of the user's: one line that names the file, row or key and what would be right.

    What a message quotes (a header, a cell, the name of a file) may hold anything, so it is made one line that a
    terminal can show: white space becomes a blank, what cannot be printed its escape, and a monster is cut short.
    """

    def __init__(self, message: str) -> None:
        line = _short(" ".join(message.split()))
        if not line.isprintable():
            line = _short("".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in line))
        super().__init__(line)


def _short(line: str) -> str:
    return line if len(line) <= _HEAD + _TAIL else f"{line[:_HEAD]} … {line[-_TAIL:]}"
