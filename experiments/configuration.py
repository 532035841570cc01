"""Composing a run's configuration with Hydra, and saying in one line what is wrong with it.

Hydra composes `conf/` (one group per choice a user makes) with the overrides of a command line into one nested
mapping. Only its composer is used: nothing is written, no directory is changed and no log is set up, so that a mistake
leaves nothing behind. Every complaint of Hydra or OmegaConf becomes a `UserError` that names the key and what would be
right; what the values mean is checked where the settings are built.
"""

import contextlib
import difflib
import itertools
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_module
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from markets.errors import UserError

__all__ = ["FIXED", "choices", "compose", "expand", "flatten", "group_options", "search_override"]

FIXED = ("device",)
"""Groups that hold for a whole process, so that no sweep can vary them."""

_SEARCH = "hydra.searchpath"

_OPEN = ("costs", "market.columns")
"""Groups whose keys are the user's own: names of symbols, names of columns."""


def compose(
    overrides: Sequence[str] = (), *, module: str = "conf", name: str = "config", partial: bool = False
) -> dict[str, Any]:
    """Compose the configuration of one run.

    Args:
        overrides: `key=value` (also `+key=value`, `~key`) in Hydra's grammar; the last one of a key holds.
        module: importable package that holds the configuration files.
        name: its primary file, without the ending.
        partial: leave mandatory values that nobody gave as `"???"`, to show them.

    Returns:
        A nested mapping of plain values with every interpolation resolved.

    Raises:
        UserError: an unknown key or option, a mistake of grammar, a value that is missing or cannot be resolved.
    """
    with _composer(module) as loader:
        try:
            parsed = _parse(overrides, loader)
            for override in parsed:
                if override.is_sweep_override():
                    key, value = override.key_or_group, override.get_value_string()
                    raise UserError(
                        f"{override.input_line}: several values for one run; "
                        f"add --multirun to sweep over them, or write a list as {key}=[{value}]"
                        if override.is_discrete_sweep() and "(" not in value
                        else f"{override.input_line}: several values for one run; add --multirun to sweep over them"
                    )
            config = hydra_compose(name, overrides=[_opened(line) for line in overrides])
            plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=not partial)
        except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
            _explain(error, overrides, loader, name)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def expand(overrides: Sequence[str], *, fixed: Sequence[str] = FIXED, module: str = "conf") -> list[list[str]]:
    """Expand the sweeps among overrides into the overrides of each job.

    A sweep is a comma list (`seed=1,2`), `range(...)`, `choice(...)` or, for a group, `glob(...)`. Jobs are the
    product of all sweeps, the last one varying fastest.

    Args:
        overrides: in Hydra's grammar.
        fixed: top-level keys that must not vary.
        module: importable package that holds the configuration files.

    Returns:
        One list of overrides a job; a single one where nothing is swept.

    Raises:
        UserError: a sweep without values, over an interval, or over a key that cannot vary inside one process.
    """
    with _composer(module) as loader:
        axes = []
        for override in _parse(overrides, loader):
            line = str(override.input_line)
            if not override.is_sweep_override():
                axes.append([line])
                continue
            if re.split(r"[./]", override.key_or_group)[0] in fixed:
                raise UserError(f"{line}: cannot vary inside one process; start one command for each value")
            if not override.is_discrete_sweep():
                raise UserError(f"{line}: an interval has no list of values; use range(start,stop,step) or choice(a,b)")
            axis = [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
            if not axis:
                options = loader.get_group_options(override.key_or_group)
                raise UserError(f"{line}: matches nothing" + (f"; options: {', '.join(options)}" if options else ""))
            axes.append(axis)
    return [list(job) for job in itertools.product(*axes)]


def group_options(*, module: str = "conf") -> dict[str, list[str]]:
    """The groups of the configuration and the options of each, both in alphabetical order.

    Args:
        module: importable package that holds the configuration files.
    """
    with _composer(module) as loader:
        pending, found = loader.list_groups(""), {}
        while pending:
            group = pending.pop()
            if group == "hydra" or group.startswith("__"):
                continue
            found[group] = {option for option in loader.get_group_options(group) if not option.startswith("__")}
            pending += [f"{group}/{inner}" for inner in loader.list_groups(group) if not inner.startswith("__")]
    return {group: sorted(options) for group, options in sorted(found.items()) if options}


def choices(overrides: Sequence[str] = (), *, module: str = "conf", name: str = "config") -> dict[str, Any]:
    """The option that sound overrides choose in each group."""
    with _composer(module):
        chosen = hydra_compose(name, overrides=list(overrides), return_hydra_config=True).hydra.runtime.choices
    return {str(group): option for group, option in chosen.items() if not str(group).startswith("hydra/")}


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys of a nested mapping, in its order; an empty group is a value."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        dotted = f"{prefix}{key}"
        flat |= flatten(value, f"{dotted}.") if isinstance(value, Mapping) and value else {dotted: value}
    return flat


def search_override(folder: Path) -> str:
    """The override that makes a user's own folder of groups known to the composer.

    Raises:
        UserError: it is not a folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: not a folder of configuration files")
    quoted = str(folder.resolve()).replace("\\", "\\\\").replace("'", "\\'")
    return f"{_SEARCH}=['file://{quoted}']"


@contextlib.contextmanager
def _composer(module: str) -> Iterator[ConfigLoader]:
    """Hydra ready to compose from a module; what was ready before is put back afterwards."""
    with initialize_config_module(module, version_base="1.3", job_name="arena"):
        yield GlobalHydra.instance().config_loader()


def _parse(overrides: Sequence[str], loader: ConfigLoader) -> list[Override]:
    """Parse overrides, refusing what Hydra takes without a word or answers with a riddle."""
    parser = OverridesParser.create(config_loader=loader)
    parsed = []
    for line in overrides:
        key = line.partition("=")[0].strip()
        if "=" not in line and not line.startswith("~"):
            raise UserError(f"{line}: not an override; write key=value")
        if not key.lstrip("+~"):
            raise UserError(f"{line}: no key before the =; write key=value")
        try:
            (override,) = parser.parse_overrides([line])
        except OverrideParseException as error:
            raise UserError(_grammar(line, error)) from None
        if override.is_hydra_override() and override.key_or_group != _SEARCH:
            raise UserError(f"{line}: Hydra's own settings have no effect here; leave it out")
        if override.key_or_group == _SEARCH:
            _check_search(line, override.value())
        options = loader.get_group_options(override.key_or_group)
        if options and not override.is_delete() and not override.is_sweep_override():
            value = override.value()
            if not isinstance(value, str | list):
                raise UserError(f"{line}: {key} is a choice; options: {', '.join(options)}")
        parsed.append(override)
    return parsed


def _opened(line: str) -> str:
    """The override, with Hydra's sign for keys that are not there yet where any key may be."""
    key = line.partition("=")[0].strip()
    return f"++{line}" if any(key == group or key.startswith(f"{group}.") for group in _OPEN) else line


def _grammar(line: str, error: OverrideParseException) -> str:
    """Say how to write a value that Hydra's grammar cannot read."""
    if isinstance(error.__cause__, HydraException | TypeError | ValueError):
        return f"{line}: {_one_line(str(error.__cause__))}"
    key, _, value = line.partition("=")
    if not re.fullmatch(r"[+~]{0,2}[\w./$]+(@[\w.]+)?", key.strip()):
        return f"{line}: {key.strip()!r} is not a key; write key=value with a dotted name such as evolution.agents"
    if any(value.count(left) != value.count(right) for left, right in ("[]", "{}", "()")) and "${" not in value:
        return f"{line}: cannot read the value; a bracket has no partner"
    bare = value.strip().strip("'\"").replace("\\", "\\\\").replace("'", "\\'")
    quoted = f"{key.strip()}='{bare}'"
    shown = f'"{quoted}"' if not set(quoted) & set('"$`\\!') else shlex.quote(quoted)
    return f"{line}: cannot read the value; text with special signs stands in quotes twice: {shown}"


def _explain(error: Exception, overrides: Sequence[str], loader: ConfigLoader, name: str) -> NoReturn:
    """Raise the `UserError` that a complaint of Hydra, OmegaConf or YAML amounts to."""
    if isinstance(error, MissingConfigException):
        raise UserError(_unknown_option(error)) from None
    cause = error.__cause__
    unknown = getattr(cause, "full_key", None)
    if isinstance(error, ConfigCompositionException) and unknown and "not in struct" in str(cause):
        raise UserError(f"{unknown}: unknown key; {_nearest(str(unknown), overrides, loader, name)}") from None
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
        raise UserError(f"~{match[1]}: unknown key; {_nearest(match[1], overrides, loader, name)}") from None
    key = getattr(told, "full_key", None)
    raise UserError(f"{key}: {_one_line(text)}" if key else f"configuration: {_one_line(text)}") from None


def _one_line(text: str) -> str:
    """A message without the lines that repeat its key or point to a manual."""
    noise = r"full_key:|object_type=|See http|Error parsing override|Config search path|provider=|$"
    kept = [line.strip() for line in text.splitlines() if not re.match(noise, line.strip())]
    return re.sub(r"\w+ (raised while resolving interpolation|while evaluating '[^']*'): ", "", "; ".join(kept))


def _unknown_option(error: MissingConfigException) -> str:
    """Name the option that is not there, and those that are."""
    found = re.search(r"Could not (?:find|load) '([^']+)'", str(error))
    group, _, option = (found[1] if found else str(error.missing_cfg_file)).rpartition("/")
    options = sorted(error.options or ())
    if not options:
        return f"{f'{group}=' if group else ''}{option}: no such configuration file"
    close = difflib.get_close_matches(option, options, n=1)
    guess = f"did you mean {group}={close[0]}? " if close else ""
    return f"{group}={option}: no such option; {guess}options: {', '.join(options)}"


def _nearest(key: str, overrides: Sequence[str], loader: ConfigLoader, name: str) -> str:
    """What a user may have meant by a key that is not there, under the groups they chose."""
    chosen = [
        line for line in overrides if loader.get_group_options(line.lstrip("+~").partition("=")[0].partition("@")[0])
    ]
    try:
        config = OmegaConf.to_container(hydra_compose(name, overrides=[*chosen]), resolve=False)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError):
        return "--help lists the keys"
    assert isinstance(config, dict)
    known = list(flatten({str(top): value for top, value in config.items()}))
    last = key.rpartition(".")[2]
    same = [other for other in known if other.rpartition(".")[2] == last]
    close = difflib.get_close_matches(key, [*known, *loader.list_groups("")], n=1, cutoff=0.75)
    leaves = difflib.get_close_matches(last, {other.rpartition(".")[2] for other in known}, n=1, cutoff=0.75)
    alike = [other for other in known if leaves and other.rpartition(".")[2] == leaves[0]]
    if guesses := list(dict.fromkeys([*same, *close] or alike))[:3]:
        return f"did you mean {' or '.join(guesses)}?"
    parent = key.rpartition(".")[0]
    siblings = [other for other in known if parent and other.startswith(f"{parent}.")]
    return f"known keys: {', '.join(siblings)}" if siblings else "--help lists the keys"


def _check_search(line: str, paths: object) -> None:
    """Refuse a search path that leads nowhere, which Hydra only warns of."""
    if not isinstance(paths, list):
        raise UserError(f"{line}: expected a list of folders, such as {_SEARCH}=[file://my/conf]")
    for path in paths:
        if "://" not in str(path) or (str(path).startswith("file://") and not Path(str(path)[7:]).is_dir()):
            raise UserError(f"{line}: {path} is not a folder of configuration files (file://FOLDER)")
