"""Dotted keys of nested configuration."""

from collections.abc import Mapping
from typing import Any

__all__ = ["flatten"]


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys of a nested mapping, in its order; an empty group is a value."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        dotted = f"{prefix}{key}"
        flat |= flatten(value, f"{dotted}.") if isinstance(value, Mapping) and value else {dotted: value}
    return flat
