"""What a user did wrong, or can mend, told in lines: one place for the commands and for the jobs of a sweep."""

import errno
import os
from collections.abc import Iterable

from markets.errors import UserError

__all__ = ["MistakesError", "lines_of"]

_USERS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""Errors that are the user's to mend even where no path is named: no space, no quota, a read-only disk."""

_FULL = "No space left on device"
_MEMORY = "not enough memory; fewer evolution.agents or episodes.episodes, or a smaller device.block"


class MistakesError(UserError):
    """Several mistakes found at once, a line each."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = [str(UserError(line)) for line in lines]
        super().__init__("; ".join(self.lines))


def lines_of(error: BaseException) -> list[str] | None:
    """The lines that tell a user what to mend; None where the error is a fault of ours and keeps its traceback."""
    if isinstance(error, MistakesError):
        return error.lines
    if isinstance(error, UserError):
        return [str(error)]
    if isinstance(error, OSError) and (error.filename is not None or error.errno in _USERS):
        where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        return [_line(f"{where}{error.strerror or error}")]
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" in str(error)):
        return [_MEMORY]
    if _FULL in str(error):  # libraries that write files have errors of their own for it
        return [_FULL]
    return None


def _line(text: str) -> str:
    return str(UserError(text))
