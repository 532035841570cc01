"""Checkpoints: the arena's state, each complete or absent; a run goes on from the last one to the same bits.

One that is damaged is never passed over in silence: the run stops with a line that names it and says from where it
would go on without it.
"""

from pathlib import Path

from arena.state import ArenaState
from experiments.runs.directory import RunDirectory
from experiments.runs.trees import load_tree, save_tree
from markets.errors import UserError

__all__ = ["checkpoints", "last_checkpoint", "load_checkpoint", "save_checkpoint"]


def save_checkpoint(run: RunDirectory, state: ArenaState, keep: int) -> None:
    """Write the state, then delete all but the last `keep` checkpoints.

    Raises:
        OSError: the disk is full, or the folder cannot be written; the checkpoints that were there are there still.
    """
    generation = int(state.generation)
    save_tree(_path(run, generation), state, {"generation": str(generation)})
    for old in checkpoints(run)[:-keep]:
        old.unlink()


def last_checkpoint(run: RunDirectory) -> Path | None:
    """The newest checkpoint, or None."""
    found = checkpoints(run)
    return found[-1] if found else None


def load_checkpoint(path: Path, like: ArenaState) -> ArenaState:
    """The state of a checkpoint.

    Args:
        path: of the checkpoint.
        like: a state of the form this run's configuration has.

    Raises:
        UserError: it is damaged, or of another configuration; the line names the newest older one that is whole.
    """
    try:
        return _load(path, like, "")
    except UserError:
        return _load(path, like, _without(path, like))


def _load(path: Path, like: ArenaState, remedy: str) -> ArenaState:
    state, metadata = load_tree(path, like, remedy=remedy)
    if not metadata.get("generation") == str(int(state.generation)) == str(int(path.stem)):
        raise UserError(f"{path}: damaged, its generation does not match its name; {remedy}")
    return state


def _without(path: Path, like: ArenaState) -> str:
    """What to do about a checkpoint that cannot be used."""
    run = RunDirectory(path.parent.parent)
    useless, whence = ["it"], "begins again from the start"
    for older in reversed([each for each in checkpoints(run) if each < path]):
        try:
            _load(older, like, "")
        except UserError:
            useless.append(older.name)
        else:
            whence = f"goes on after {int(older.stem)} generations, where {older.name} is whole"
            break
    return f"delete {' and '.join(useless)}, and arena resume {run.root} {whence}"


def _path(run: RunDirectory, generation: int) -> Path:
    return run.checkpoints / f"{generation:08d}.safetensors"


def checkpoints(run: RunDirectory) -> list[Path]:
    """All there are, the oldest first."""
    return sorted(run.checkpoints.glob("[0-9]" * 8 + ".safetensors"))
