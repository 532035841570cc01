"""What commands that carry out studies share: overrides, bounds of their numbers, and showing configurations."""

import argparse
import math
from collections.abc import Iterable
from typing import Any

from omegaconf import OmegaConf

from experiments.configuration.compose import search_override
from markets.errors import UserError

__all__ = ["given_overrides", "print_configs", "see_least"]


def given_overrides(args: argparse.Namespace) -> tuple[str, ...]:
    """The overrides among a command's arguments, a folder of the user's own group files first."""
    own = [] if args.config_dir is None else [search_override(args.config_dir)]
    return (*own, *args.overrides)


def see_least(args: argparse.Namespace, **least: float) -> None:
    """See that the numbers among a command's arguments are finite and large enough; what was left out is fine.

    Args:
        args: parsed.
        least: of each argument, by its name in them.

    Raises:
        UserError: the first that is not.
    """
    for name, bound in least.items():
        value = getattr(args, name)
        if value is not None and not (value >= bound and math.isfinite(value)):
            raise UserError(f"--{name.replace('_', '-')}: {value} is too small; at least {bound:g}")


def print_configs(configs: Iterable[dict[str, Any]]) -> None:
    """Print the configurations of several runs as YAML documents."""
    print("---\n".join(OmegaConf.to_yaml(OmegaConf.create(config)) for config in configs), end="")
