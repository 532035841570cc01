"""The world a run was made in, for its report: bars may have gone or changed since; what needs them is then left out,
and said.
"""

from experiments.champions.world import World, alone
from experiments.champions.world import load_world as load
from experiments.configuration.study import Study
from experiments.report.facts.sources import Sources
from markets.errors import UserError

__all__ = ["World", "load_study", "load_world", "sentence"]

_PARTS = ("standings", "champions")
"""Parts of the report that need the world."""


def load_study(sources: Sources) -> Study | None:
    """What the run was made of, as one process on one device of this machine takes it up.

    Returns:
        None where its configuration is gone or damaged, which is then on the list of what is missing.
    """
    try:
        if not sources.config:
            raise UserError("it is not there, or is damaged")
        return alone(sources.config)
    except UserError as error:
        _without(sources, "config.yaml", f"What the run was made of is not known: {sentence(error)}.")
        return None


def load_world(sources: Sources, study: Study) -> World | None:
    """The market of a run as it was; of several folds the last that has champions.

    Returns:
        None where its bars are gone, or are not what they were, which is then on the list of what is missing.
    """
    known = sources.manifest.get("data_hash")
    try:
        world = load(study, known, int(str(sources.frame("archive", ("fold",))["fold"].max() or 0)))
    except UserError as error:
        _without(sources, "market", str(error))
        return None
    if known is None:
        sources.missing.note(
            "What bars the run was made with is not on record; its configuration's are taken for them."
        )
    return world


def _without(sources: Sources, what: str, why: str) -> None:
    for part in _PARTS:
        sources.missing.add(part, what, why)


def sentence(error: Exception) -> str:
    """What went wrong, in one line without a full stop."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
