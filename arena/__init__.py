"""How a world of agents turns, and the Python API.

The names below load when first asked for, so that importing the package costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arena.api import Arena, make_market, market_from_frame
    from arena.settings import Settings

__all__ = ["Arena", "Settings", "make_market", "market_from_frame"]

_HOMES = {"Settings": "arena.settings"} | dict.fromkeys(("Arena", "make_market", "market_from_frame"), "arena.api")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'arena' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
