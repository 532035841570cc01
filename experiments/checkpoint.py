"""Checkpoints: the arena's state, each complete or absent; a run goes on from the last one to the same bits."""

from pathlib import Path

from arena.state import ArenaState
from experiments.rundir import RunDirectory
from experiments.trees import load_tree, save_tree
from markets.errors import UserError

__all__ = ["last_checkpoint", "load_checkpoint", "save_checkpoint"]


def save_checkpoint(run: RunDirectory, state: ArenaState, keep: int) -> None:
    """Write the state, then delete all but the last `keep` checkpoints."""
    generation = int(state.generation)
    save_tree(_path(run, generation), state, {"generation": str(generation)})
    for old in _all(run)[:-keep]:
        old.unlink()


def last_checkpoint(run: RunDirectory) -> Path | None:
    """The newest checkpoint, or None."""
    found = _all(run)
    return found[-1] if found else None


def load_checkpoint(path: Path, like: ArenaState) -> ArenaState:
    """The state of a checkpoint.

    Args:
        path: of the checkpoint.
        like: a state of the form this run's configuration has.

    Raises:
        UserError: it is damaged, or of another configuration.
    """
    state, metadata = load_tree(path, like)
    if not metadata.get("generation") == str(int(state.generation)) == str(int(path.stem)):
        raise UserError(f"{path}: damaged, its generation does not match its name; delete it to go on without it")
    return state


def _path(run: RunDirectory, generation: int) -> Path:
    return run.checkpoints / f"{generation:08d}.safetensors"


def _all(run: RunDirectory) -> list[Path]:
    return sorted(run.checkpoints.glob("[0-9]*.safetensors"))
