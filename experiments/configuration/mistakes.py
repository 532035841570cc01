"""Saying in one line what is wrong with a configuration: complaints of Hydra, OmegaConf and YAML for a user."""

import difflib
import re
import shlex
from collections.abc import Sequence
from typing import NoReturn

import yaml
from hydra import compose as hydra_compose
from hydra.core.config_loader import ConfigLoader
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from experiments.configuration.keys import flatten
from markets.errors import UserError

__all__ = ["explain", "grammar", "unknown_key"]


def grammar(line: str, error: OverrideParseException) -> str:
    """Say how to write an override that Hydra's grammar cannot read."""
    if isinstance(error.__cause__, HydraException | TypeError | ValueError):
        return f"{line}: {_one_line(str(error.__cause__))}"
    key, _, value = line.partition("=")
    if not re.fullmatch(r"[+~]{0,2}\w[\w$]*([./][\w$]+)*(@[\w.]+)?", key.strip()):
        return f"{line}: {key.strip()!r} is not a key; write key=value with a dotted name such as evolution.agents"
    if any(value.count(left) != value.count(right) for left, right in ("[]", "{}", "()")) and "${" not in value:
        return f"{line}: cannot read the value; a bracket has no partner"
    bare = value.strip().strip("'\"").replace("\\", "\\\\").replace("'", "\\'")
    quoted = f"{key.strip()}='{bare}'"
    shown = f'"{quoted}"' if not set(quoted) & set('"$`\\!') else shlex.quote(quoted)
    return f"{line}: cannot read the value; text with special signs stands in quotes twice: {shown}"


def explain(error: Exception, overrides: Sequence[str], loader: ConfigLoader, name: str) -> NoReturn:
    """Raise the `UserError` that a complaint of Hydra, OmegaConf or YAML amounts to."""
    if isinstance(error, MissingConfigException):
        raise UserError(_unknown_option(error, loader)) from None
    cause = error.__cause__
    unknown = getattr(cause, "full_key", None)
    if isinstance(error, ConfigCompositionException) and unknown and "not in struct" in str(cause):
        raise unknown_key(str(unknown), overrides, loader, name) from None
    if isinstance(error, MissingMandatoryValue):
        raise UserError(f"{error.full_key}: missing; write {error.full_key}=...") from None
    told = (
        cause if isinstance(error, ConfigCompositionException) and isinstance(cause, OmegaConfBaseException) else error
    )
    text = str(told)
    if match := re.search(r"must specify '([^']+)'.*?Available options:(.*)", text, re.DOTALL):
        options = ", ".join(match[2].split())
        raise UserError(f"{match[1]}: missing; write {match[1]}=... with one of {options}") from None
    if match := re.search(r"Multiple values for ([^.]+)\.", text):
        raise UserError(f"{match[1]}: chosen already; write {match[1]}=... without the +") from None
    if match := re.search(r"An item is already at '([^']+)'", text):
        raise UserError(f"+{match[1]}: is there already; write {match[1]}=... without the +") from None
    if match := re.search(r"Could not delete from config. '([^']+)' does not exist", text):
        raise unknown_key(match[1], overrides, loader, name) from None
    key = getattr(told, "full_key", None)
    raise UserError(f"{key}: {_one_line(text)}" if key else f"configuration: {_one_line(text)}") from None


def _one_line(text: str) -> str:
    """A message without the lines that repeat its key or point to a manual."""
    noise = r"full_key:|object_type=|See http|Error parsing override|Config search path|provider=|$"
    kept = [line.strip() for line in text.splitlines() if not re.match(noise, line.strip())]
    return re.sub(r"\w+ (raised while resolving interpolation|while evaluating '[^']*'): ", "", "; ".join(kept)).strip(
        '"'
    )


def _unknown_option(error: MissingConfigException, loader: ConfigLoader) -> str:
    """Name the option that is not there, and those that are."""
    found = re.search(r"Could not (?:find|load) '([^']+)'", str(error))
    group, _, option = (found[1] if found else str(error.missing_cfg_file)).rpartition("/")
    options = sorted(error.options or (loader.get_group_options(group) if group else ()))
    if not options:
        return f"{f'{group}=' if group else ''}{option}: no such configuration file"
    close = difflib.get_close_matches(option, options, n=1)
    guess = f"did you mean {group}={close[0]}? " if close else ""
    return f"{group}={option}: no such option; {guess}options: {', '.join(options)}"


def unknown_key(key: str, overrides: Sequence[str], loader: ConfigLoader, name: str) -> UserError:
    """A key that is not there, with what the user may have meant.

    Args:
        key: as far as the composer followed it; the override that holds it says all of it.
        overrides: in Hydra's grammar.
        loader: of the composer.
        name: the primary file.
    """
    keys = (line.lstrip("+~").partition("=")[0].strip() for line in overrides)
    whole = next((each for each in keys if each == key or each.startswith(f"{key}.")), key)
    return UserError(f"{whole}: unknown key; {_nearest(whole, overrides, loader, name)}")


def _nearest(key: str, overrides: Sequence[str], loader: ConfigLoader, name: str) -> str:
    """What a user may have meant by a key that is not there, under the groups they chose."""
    chosen = [line for line in overrides if loader.get_group_options(line.lstrip("+").partition("=")[0])]
    try:
        known = _keys(name, chosen)
        top = key.partition(".")[0]
        for option in loader.get_group_options(top) if "." in key else ():
            if key in _keys(name, [*chosen, f"{top}={option}"]):
                return f"{top}={option} has it"
    except (HydraException, OmegaConfBaseException, yaml.YAMLError):
        return "--help lists the keys"
    tops = {other.partition(".")[0] for other in known}
    near = difflib.get_close_matches(top, tops, n=1, cutoff=0.75)
    if top not in tops and near and (f"{near[0]}{key.removeprefix(top)}" in known or near[0] in known):
        return f"did you mean {near[0]}{key.removeprefix(top)}?"
    last = key.rpartition(".")[2]
    same = [other for other in known if other.rpartition(".")[2] == last]
    groups = [group for group in loader.list_groups("") if not key.startswith(f"{group}.")]
    close = difflib.get_close_matches(key, [*known, *groups], n=1, cutoff=0.75)
    leaves = difflib.get_close_matches(last, {other.rpartition(".")[2] for other in known}, n=1, cutoff=0.75)
    alike = [other for other in known if leaves and other.rpartition(".")[2] == leaves[0]]
    if top in tops:
        alike = [other for other in alike if other.startswith(f"{top}.")]
    if guesses := list(dict.fromkeys([*same, *close] or alike))[:3]:
        return f"did you mean {' or '.join(guesses)}?"
    parent = key.rpartition(".")[0]
    while parent and not any(other.startswith(f"{parent}.") for other in known):
        parent = parent.rpartition(".")[0]
    siblings = [other for other in known if parent and other.startswith(f"{parent}.")]
    return f"known keys: {', '.join(siblings)}" if siblings else "--help lists the keys"


def _keys(name: str, choices: Sequence[str]) -> list[str]:
    """Dotted keys there are under some choices."""
    config = OmegaConf.to_container(hydra_compose(name, overrides=list(choices)), resolve=False)
    assert isinstance(config, dict)
    return list(flatten({str(top): value for top, value in config.items()}))
