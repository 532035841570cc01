"""A run's directory: where each thing lies, its manifest, and how a run is found again."""

import contextlib
import dataclasses
import errno
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from arena.schemas import TABLES
from experiments.runs.files import TEMPORARY, make_folder, write_json, write_whole
from experiments.runs.lock import is_held
from experiments.runs.notes import read_json, read_yaml
from experiments.runs.parts import filled, fits, read_part
from markets.errors import UserError

__all__ = ["RunDirectory", "find_run"]

_ANEW = "run the study anew with arena evolve … force=true"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_TRIES = 3  # a table is read while a run that is gone on with may delete parts of it
_ENTRIES = {"run_id": str, "state": str, "generations": int, "sessions": list, "bits": dict, "device": dict}
"""Entries of the manifest that are relied on, and their kinds."""


@dataclasses.dataclass(frozen=True)
class RunDirectory:
    """Paths below `runs/<run_id>/`; see docs/records.md for what each holds."""

    root: Path

    @property
    def config(self) -> Path:
        """Resolved configuration."""
        return self.root / "config.yaml"

    @property
    def manifest(self) -> Path:
        """Versions, hashes, state."""
        return self.root / "manifest.json"

    @property
    def genomes(self) -> Path:
        """Genomes of archive members, by id."""
        return self.root / "genomes"

    @property
    def founders(self) -> Path:
        """Brains of founders that come from elsewhere."""
        return self.root / "founders.safetensors"

    @property
    def origins(self) -> Path:
        """Lines of the champions of earlier runs that founded it."""
        return self.root / "origins.parquet"

    @property
    def checkpoints(self) -> Path:
        """The last states."""
        return self.root / "checkpoints"

    @property
    def lineage(self) -> Path:
        """Who descends from whom, at the end."""
        return self.root / "lineage.parquet"

    def table(self, name: str) -> Path:
        """Folder of a table's parts."""
        return self.root / f"{name}.parquet"

    def read(self, name: str) -> pl.DataFrame:
        """A whole table, in the order it was written; empty where there is none yet.

        Raises:
            UserError: a part is damaged.
        """
        for _ in range(_TRIES):
            parts = sorted(self.table(name).glob("[!.]*.parquet"))
            with contextlib.suppress(FileNotFoundError):
                return pl.concat([pl.DataFrame(schema=TABLES[name]), *(self._part(path, name) for path in parts)])
        raise UserError(f"{self.table(name)}: parts vanish while they are read; try again when nobody deletes them")

    def _part(self, path: Path, name: str) -> pl.DataFrame:
        """One part of a table."""
        try:
            part = read_part(path)
        except FileNotFoundError:
            raise
        except (ValueError, OSError) as error:
            raise UserError(self.lost(path, error)) from error
        if not fits(part.schema, name):
            raise UserError(self.lost(path, f"its columns are not those of {name}"))
        return filled(part, name, list(TABLES[name]))

    def create(self, config: Mapping[str, Any]) -> None:
        """Make the folders where they are missing, and write the configuration.

        Raises:
            UserError: the folder cannot be made or written.
        """
        try:
            for folder in (self.genomes, self.checkpoints, *(self.table(name) for name in TABLES)):
                make_folder(folder)
            text = yaml.safe_dump(json.loads(json.dumps(config)), sort_keys=False, allow_unicode=True)
            write_whole(self.config, lambda temporary: temporary.write_text(text, encoding="utf-8"))
        except OSError as error:
            raise UserError(self._trouble(error)) from error

    def clear_leftovers(self) -> None:
        """Delete what an interrupted write left behind.

        Raises:
            OSError: the folder cannot be written.
        """
        for path in self.root.rglob(f"{TEMPORARY}*"):
            path.unlink()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Say of what cannot be written in here what it is and what would be right.

        Raises:
            UserError: instead of an `OSError` that names a file.
        """
        try:
            yield
        except OSError as error:
            if error.filename is None:
                raise
            raise UserError(self._trouble(error)) from error

    def _trouble(self, error: OSError) -> str:
        """One line on a write that failed."""
        path = os.fsdecode(error.filename) if error.filename is not None else str(self.root)
        if error.errno == errno.ENOENT and not self.config.is_file():
            return f"{path}: cannot be written ({error.strerror}), the run's folder is gone; start it again"
        began = self.manifest.is_file()
        again = f"arena resume {self.root}" if began else "the same command"
        if error.errno in _FULL:
            return f"{path}: cannot be written, the disk is full ({error.strerror}); free space there, then {again}"
        if began:
            return f"{path}: cannot be written ({error.strerror}); mend that, then {again}"
        return f"runs_dir: {self.root} cannot be written ({error.strerror}); name another folder"

    def lost(self, path: Path, why: object) -> str:
        """One line on a part of a table that is not as it was written."""
        return (
            f"{path}: damaged ({why}); bring it back, or delete the folder {self.checkpoints}, and arena resume "
            f"{self.root} makes every row again from the start"
        )

    def done(self, manifest: Mapping[str, Any]) -> int:
        """Generations that are safe: those of the newest checkpoint, or of the manifest where it knows more."""
        newest = max((int(path.stem) for path in self.checkpoints.glob("[0-9]" * 8 + ".safetensors")), default=0)
        return max(newest, int(manifest.get("generations", 0)))

    def state(self, manifest: Mapping[str, Any]) -> str:
        """`running`, `interrupted` or `finished`, where a run that was killed is an interrupted one too."""
        noted = str(manifest.get("state", "running"))  # one killed at its very start has no manifest yet
        return "interrupted" if noted == "running" and is_held(self.root) is False else noted

    def read_config(self) -> dict[str, Any]:
        """The configuration the run was made with.

        Raises:
            UserError: there is none, or it is damaged.
        """
        try:
            config = read_yaml(self.config)
        except FileNotFoundError:
            raise UserError(f"{self.config}: missing; bring it back, or {_ANEW}") from None
        except OSError as error:
            raise UserError(f"{self.config}: cannot be read ({error.strerror}); {_ANEW}") from error
        except ValueError as error:
            raise UserError(f"{self.config}: damaged ({error}); {_ANEW}") from error
        if not isinstance(config, dict):
            raise UserError(f"{self.config}: damaged, it is no group of keys; {_ANEW}")
        return config

    def read_manifest(self) -> dict[str, Any]:
        """The manifest; empty where there is none.

        Raises:
            UserError: it is damaged.
        """
        try:
            manifest = read_json(self.manifest)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise UserError(f"{self.manifest}: cannot be read ({error.strerror}); {self._from_the_start()}") from error
        except ValueError as error:
            raise UserError(f"{self.manifest}: damaged ({error}); {self._from_the_start()}") from error
        if not isinstance(manifest, dict):
            raise UserError(f"{self.manifest}: damaged, it is no group of keys; {self._from_the_start()}")
        for key, kind in _ENTRIES.items():
            if not isinstance(manifest.get(key, kind()), kind):
                raise UserError(f"{self.manifest}: damaged, {key} is {manifest[key]!r}; {self._from_the_start()}")
        return manifest

    def _from_the_start(self) -> str:
        return f"delete it and the folder {self.checkpoints}, and arena resume {self.root} begins again from the start"

    def note(self, **entries: Any) -> None:
        """Change entries of the manifest.

        Raises:
            UserError: it is damaged.
            OSError: it cannot be written; the old one stays.
        """
        write_json(self.manifest, {**self.read_manifest(), **entries})


def find_run(name: str, runs_dir: str = "runs") -> RunDirectory:
    """The run a user means: a path to its folder, or its id below the folder of runs.

    Raises:
        UserError: there is no such run; the message names those there are.
    """
    for root in (Path(name), Path(runs_dir) / name):
        if (root / "config.yaml").is_file() or (root / "manifest.json").is_file():
            return RunDirectory(root)
    there = sorted(path.parent.name for path in Path(runs_dir).glob("*/config.yaml"))
    known = f"there are: {', '.join(there[:8])}" if there else f"there are none in {runs_dir}"
    raise UserError(f"{name}: no such run; {known}")
