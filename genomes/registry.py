"""Which species there are: one line each, loaded when first asked for.

A module named here offers `Settings` (a frozen dataclass) and `make(settings, shape)`, which returns the species.
"""

import importlib
from typing import Any

from genomes.species import Shape, Species

__all__ = ["SPECIES", "make_species", "settings_class"]

SPECIES: dict[str, str] = {
    "forest": "genomes.forest",
    "qnetwork": "genomes.qnetwork",
}
"""Name in configuration and files → module."""


def settings_class(name: str) -> type[Any]:
    """The settings class of a species.

    Raises:
        KeyError: no species of that name; the message names those there are.
    """
    settings: type[Any] = importlib.import_module(_module(name)).Settings
    return settings


def make_species(name: str, settings: Any, shape: Shape) -> Species:
    """A species ready for use: `settings` of its own class, connected as `shape` says.

    Raises:
        KeyError: no species of that name; the message names those there are.
    """
    species: Species = importlib.import_module(_module(name)).make(settings, shape)
    return species


def _module(name: str) -> str:
    if name not in SPECIES:
        raise KeyError(f"{name!r} is not a species; there are: {', '.join(sorted(SPECIES))}")
    return SPECIES[name]
