"""A run's directory: where each thing lies, its manifest, and how a run is found again."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from arena.schemas import TABLES
from experiments.files import TEMPORARY, write_json, write_whole
from markets.errors import UserError

__all__ = ["RunDirectory", "find_run"]

_ANEW = "run the study anew with force=true"


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
        """A whole table, in the order it was written; empty where there is none yet."""
        parts = sorted(self.table(name).glob("[!.]*.parquet"))
        schema = TABLES[name]
        return pl.concat([pl.read_parquet(part) for part in parts]) if parts else pl.DataFrame(schema=schema)

    def create(self, config: Mapping[str, Any]) -> None:
        """Make the folders where they are missing, and write the configuration.

        Raises:
            UserError: the folder cannot be made or written.
        """
        try:
            for folder in (self.genomes, self.checkpoints, *(self.table(name) for name in TABLES)):
                folder.mkdir(parents=True, exist_ok=True)
            text = yaml.safe_dump(json.loads(json.dumps(config)), sort_keys=False, allow_unicode=True)
            write_whole(self.config, lambda temporary: temporary.write_text(text, encoding="utf-8"))
        except OSError as error:
            raise UserError(
                f"runs_dir: {self.root} cannot be written ({error.strerror}); name another folder"
            ) from error

    def clear_leftovers(self) -> None:
        """Delete what an interrupted write left behind."""
        for path in self.root.rglob(f"{TEMPORARY}*"):
            path.unlink()

    def read_config(self) -> dict[str, Any]:
        """The configuration the run was made with.

        Raises:
            UserError: there is none, or it is damaged.
        """
        try:
            config = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{self.root}: not a run, it has no config.yaml") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"{self.config}: damaged ({str(error).splitlines()[0]}); {_ANEW}") from error
        if not isinstance(config, dict):
            raise UserError(f"{self.config}: damaged, it is no group of keys; {_ANEW}")
        return config

    def read_manifest(self) -> dict[str, Any]:
        """The manifest; empty where there is none.

        Raises:
            UserError: it is damaged.
        """
        try:
            manifest = json.loads(self.manifest.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise UserError(f"{self.manifest}: damaged ({error}); {_ANEW}") from error
        if not isinstance(manifest, dict):
            raise UserError(f"{self.manifest}: damaged, it is no group of keys; {_ANEW}")
        return manifest

    def note(self, **entries: Any) -> None:
        """Change entries of the manifest."""
        write_json(self.manifest, {**self.read_manifest(), **entries})


def find_run(name: str, runs_dir: str = "runs") -> RunDirectory:
    """The run a user means: a path to its folder, or its id below the folder of runs.

    Raises:
        UserError: there is no such run; the message names those there are.
    """
    for root in (Path(name), Path(runs_dir) / name):
        if (root / "config.yaml").is_file():
            return RunDirectory(root)
    there = sorted(path.parent.name for path in Path(runs_dir).glob("*/config.yaml"))
    known = f"there are: {', '.join(there[:8])}" if there else f"there are none in {runs_dir}"
    raise UserError(f"{name}: no such run; {known}")
