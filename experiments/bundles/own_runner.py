"""The runner inside a bundle, in a process of its own where nothing else of ours can be imported.

Its modules are compiled from their sources, whose hashes were checked; what Python left compiled beside them was not,
and is neither read nor written.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["OURS", "repeat_by_own_runner"]

OURS = ("agents", "arena", "conf", "experiments", "genomes", "markets", "jax")
"""What the runner has to do without."""

_NAME = "runner_of_a_bundle"
_LONGEST = 600
"""Seconds that it may take."""


def repeat_by_own_runner(bundle: Path) -> list[tuple[str, bool, str]]:
    """Let a bundle's own runner decide its golden decisions again.

    Args:
        bundle: its folder, every file of it checked before, and that there is no other: this runs what lies in it.

    Returns:
        What was compared, whether it is as it should be, and the figures.

    Raises:
        RuntimeError: it did not come to an end; one line says why.
    """
    with tempfile.TemporaryDirectory() as compiled:
        options = ["-I", "-B", "-X", f"pycache_prefix={compiled}"]
        command = [sys.executable, *options, str(Path(__file__).resolve()), str(bundle.absolute())]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST, check=False)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"did not answer within {_LONGEST} s") from None
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or [f"ended with code {done.returncode}"])[-1])
    try:
        return [(str(name), bool(ok), str(detail)) for name, ok, detail in json.loads(done.stdout)]
    except (ValueError, TypeError):
        raise RuntimeError("answered something else than it should") from None


class _Without(importlib.abc.MetaPathFinder):
    """Finds nothing, and lets nobody else find, what a bundle must do without."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the interface's
        target: ModuleType | None = None,  # noqa: ARG002 - the interface's
    ) -> importlib.machinery.ModuleSpec | None:
        """Refuse ours."""
        if fullname.partition(".")[0] in OURS:
            raise ModuleNotFoundError(f"{fullname} is not part of the bundle", name=fullname)
        return None


def _main(bundle: str) -> None:
    """Load the runner under another name, repeat, and print how it came out as JSON."""
    sys.meta_path.insert(0, _Without())
    folder = Path(bundle) / "runner"
    spec = importlib.util.spec_from_file_location(
        _NAME, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder}: no package")
    package = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = package
    spec.loader.exec_module(package)
    golden: Any = importlib.import_module(f"{_NAME}.golden")
    print(json.dumps(golden.repeat(bundle).told))


if __name__ == "__main__":
    _main(sys.argv[1])
