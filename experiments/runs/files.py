"""Files that are either whole or not there: written under a temporary name, flushed to disk, then renamed.

The order is what survives a loss of power: the bytes reach the disk before the name shows them, and the name reaches it
before anybody goes on as if the file were there.
"""

import contextlib
import errno
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from markets.errors import UserError

__all__ = [
    "TEMPORARY",
    "check_out",
    "make_folder",
    "see_free",
    "sync_folder",
    "write_folder",
    "write_json",
    "write_table",
    "write_whole",
]

TEMPORARY = ".part-"
"""Prefix of names of files that are being written; whoever finds one left behind may delete it."""

_UNABLE = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF}
"""What a file system answers that knows no flush of a folder."""


def write_whole(path: Path, write: Callable[[Path], object], *, scratch: Path | None = None) -> None:
    """Write a file so that its name only ever shows all of it.

    Args:
        path: where it goes; its folder exists.
        write: writes the file whose path it is given.
        scratch: folder of the same disk for the file while it grows, hidden from whoever lists `path`'s folder.

    Raises:
        OSError: the disk is full or the folder cannot be written; it names `path`, and nothing is left behind.
    """
    temporary = (scratch or path.parent) / f"{TEMPORARY}{os.getpid()}-{path.name}"
    try:
        write(temporary)
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise


def check_out(path: Path) -> None:
    """See that a file that a user named may be written, before anything is read or made for it.

    Raises:
        UserError: a folder, no regular file, or a folder that is not there.
    """
    if path.is_dir():
        raise UserError(f"{path}: is a folder; right is the name of a file")
    if os.path.lexists(path) and not path.is_file():
        raise UserError(f"{path}: is no regular file; right is the name of a file")
    if not path.parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.parent}; make it first")


def see_free(out: str | Path) -> Path:
    """The full path of a directory that can be made: absent, or empty.

    Raises:
        UserError: it holds something, or is no directory.
    """
    out = Path(out).expanduser().absolute()
    if out.is_dir() and not any(out.iterdir()):
        return out
    if out.exists() or out.is_symlink():
        raise UserError(f"{out}: exists and is not empty; name another directory, or remove it first")
    return out


def write_folder(out: Path, fill: Callable[[Path], object]) -> None:
    """Make a folder that appears whole or not at all.

    Args:
        out: of `see_free`.
        fill: writes what it holds into the folder whose path it is given.

    Raises:
        OSError: the disk is full, or the folder above cannot be written; nothing is left behind.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    try:
        fill(partial)
        partial.chmod(0o777 & ~_umask())
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _umask() -> int:
    """The process's file-mode mask, which a temporary directory does not heed."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a mapping as indented JSON, whole or not at all."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_table(path: Path, table: pl.DataFrame, *, scratch: Path | None = None) -> None:
    """Write a table as Parquet, whole or not at all.

    It is laid out in memory first, because polars reports a full disk as a fault of the format; an error of the disk
    is an `OSError` here.
    """
    laid_out = io.BytesIO()
    table.write_parquet(laid_out, compression="zstd")
    write_whole(path, lambda temporary: temporary.write_bytes(laid_out.getbuffer()), scratch=scratch)


def make_folder(path: Path) -> None:
    """Make a folder and those above it where they are missing, so that they survive a loss of power too.

    Raises:
        OSError: it cannot be made; the error names it.
    """
    if path.is_dir():
        return
    if not path.parent.is_dir():
        make_folder(path.parent)
    path.mkdir(exist_ok=True)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to disk, where the system can; some network and FUSE mounts cannot, and say so."""
    if os.name == "nt":
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
    finally:
        os.close(folder)
