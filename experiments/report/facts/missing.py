"""What a report lacks, and why: a list that every part of it adds to, so that nothing is left out in silence."""

import dataclasses
from typing import NamedTuple

__all__ = ["Missing", "Missings"]


class Missing(NamedTuple):
    """One thing that a part of the report lacks.

    Attributes:
        part: of the report: `run`, `standings`, `certificate`, `champions`, `grid`, `curves`, `tree`, `clades` or
            `heat`.
        what: the file or thing.
        why: one plain sentence.
    """

    part: str
    what: str
    why: str


@dataclasses.dataclass(frozen=True)
class Missings:
    """Everything that is missing, each once, in the order it was found; and notes on what there is."""

    found: dict[Missing, None] = dataclasses.field(default_factory=dict)
    noted: dict[str, None] = dataclasses.field(default_factory=dict)

    def add(self, part: str, what: str, why: str) -> None:
        """Say that a part lacks something; a second time it counts once."""
        self.found[Missing(part, what, why)] = None

    def note(self, sentence: str) -> None:
        """Say something about the whole report."""
        self.noted[sentence] = None

    def facts(self) -> list[dict[str, str]]:
        """As the page takes them."""
        return [entry._asdict() for entry in self.found]
