"""Composing a run's configuration with Hydra, and saying in one line what is wrong with it.

Hydra composes `conf/` (one group per choice a user makes) with the overrides of a command line into one nested
mapping. Only its composer is used: nothing is written, no directory is changed and no log is set up, so that a mistake
leaves nothing behind. Every complaint of Hydra or OmegaConf becomes a `UserError` that names the key and what would be
right; what the values mean is checked where the settings are built.
"""

import contextlib
import itertools
import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_module
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.configuration.mistakes import explain, grammar, unknown_key
from experiments.mistakes import MistakesError
from markets.errors import UserError

__all__ = ["FIXED", "choices", "compose", "expand", "group_options", "search_override"]

FIXED = ("device",)
"""Groups that hold for a whole process, so that no sweep can vary them."""

_DEEPEST = 32
"""Brackets in brackets that are read; what goes deeper exhausts the stack of those who walk it."""

_LONGEST = 200
"""Bytes that the name of an option, which is the name of a file, may have."""

_SEARCH = "hydra.searchpath"

_MOST_JOBS = 10_000
"""A sweep of more is a slip of the pen."""

_OPEN = ("costs", "market.columns")
"""Groups whose keys are the user's own: names of symbols, names of columns."""


def compose(
    overrides: Sequence[str] = (), *, module: str = "conf", name: str = "config", partial: bool = False
) -> dict[str, Any]:
    """Compose the configuration of one run.

    Args:
        overrides: `key=value` (also `+key=value`) in Hydra's grammar; the last one of a key holds.
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
            for override in _parse(overrides, loader, module):
                if _is_new(override, overrides, loader, name):
                    raise unknown_key(override.key_or_group, overrides, loader, name)
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
            explain(error, overrides, loader, name)
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
        UserError: a line for each override that cannot be read, and for each sweep without values, over an interval,
            or over a key that cannot vary inside one process; or more jobs than anyone can mean.
    """
    axes, wrong = [], []
    with _composer(module) as loader:
        for line in overrides:
            try:
                (override,) = _parse([line], loader, module)
                axes.append(_axis(override, fixed, loader) if override.is_sweep_override() else [line])
            except UserError as error:
                wrong.append(str(error))
    if wrong:
        raise MistakesError(wrong)
    jobs = list(itertools.islice(itertools.product(*axes), _MOST_JOBS + 1))
    if len(jobs) > _MOST_JOBS:
        raise UserError(f"--multirun: more than {_MOST_JOBS:,} jobs; sweep over less at a time")
    return [list(job) for job in jobs]


def _axis(override: Override, fixed: Sequence[str], loader: ConfigLoader) -> list[str]:
    """The overrides that a sweep stands for, one for each value."""
    line = str(override.input_line)
    if re.split(r"[./]", override.key_or_group)[0] in fixed:
        raise UserError(f"{line}: cannot vary inside one process; start one command for each value")
    if not override.is_discrete_sweep():
        raise UserError(f"{line}: an interval has no list of values; use range(start,stop,step) or choice(a,b)")
    values = itertools.islice(override.sweep_string_iterator(), _MOST_JOBS + 1)
    axis = [f"{override.get_key_element()}={value}" for value in values]
    if not axis:
        options = loader.get_group_options(override.key_or_group)
        raise UserError(f"{line}: matches nothing" + (f"; options: {', '.join(options)}" if options else ""))
    return axis


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
        opened = [_opened(line) for line in overrides]
        chosen = hydra_compose(name, overrides=opened, return_hydra_config=True).hydra.runtime.choices
    return {str(group): option for group, option in chosen.items() if not str(group).startswith("hydra/")}


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


def _parse(overrides: Sequence[str], loader: ConfigLoader, module: str) -> list[Override]:
    """Parse overrides, refusing what Hydra takes without a word or answers with a riddle."""
    parser = OverridesParser.create(config_loader=loader)
    parsed = []
    for line in overrides:
        key = line.partition("=")[0].strip()
        if "=" not in line and not line.startswith("~"):
            raise UserError(f"{line if line.strip() else repr(line)}: not an override; write key=value")
        if not key.lstrip("+~"):
            raise UserError(f"{line}: no key before the =; write key=value")
        if _depth(line) > _DEEPEST:
            raise UserError(
                f"{line}: brackets stand in each other more than {_DEEPEST} deep; no key here has such a value"
            )
        try:
            (override,) = parser.parse_overrides([line])
        except OverrideParseException as error:
            raise UserError(grammar(line, error)) from None
        except ValueError as error:  # a number of more digits than Python reads
            raise UserError(f"{line}: cannot read the value ({error})") from None
        _refuse(override, line, loader, module)
        parsed.append(override)
    return parsed


def _depth(line: str) -> int:
    """How deep brackets stand in each other."""
    steps = ((sign in "[{(") - (sign in "]})") for sign in line)
    return max(itertools.accumulate(steps), default=0)


def _refuse(override: Override, line: str, loader: ConfigLoader, module: str) -> None:
    """Raise for an override that is sound but cannot be meant."""
    key = override.key_or_group
    if override.package is not None:
        raise UserError(f"{line}: a choice stands in its own place; write {key}=... without the @")
    if key == _SEARCH:
        _check_search(line, override.value())
    elif re.split(r"[./]", key)[0] == "hydra":
        raise UserError(f"{line}: Hydra's own settings have no effect here; leave it out")
    options = loader.get_group_options(key)
    shown = f"options: {', '.join(options)}"
    if override.is_delete() and (key in _OPEN or not _is_open(key)):
        # Its default would hold unseen, and the same study would have two configurations.
        right = shown if options else f"write {key}=... instead, with null where it may be empty"
        raise UserError(f"{line}: nothing can be left out; {right}")
    if not options or override.is_delete() or override.is_sweep_override():
        return
    value = override.value()
    if isinstance(value, list) and key in loader.list_groups("") and key not in _several(module):
        raise UserError(f"{line}: {key} is one choice, not several; {shown}")
    if not isinstance(value, str | list):
        raise UserError(f"{line}: {key} is a choice; {shown}")
    for name in value if isinstance(value, list) else [value]:
        if len(str(name).encode(errors="replace")) > _LONGEST:
            raise UserError(f"{key}: no option has a name of {len(str(name)):,} letters; {shown}")


def _several(module: str) -> set[str]:
    """Groups of which several options may be chosen: those that the primary file gives a list of."""
    primary = yaml.safe_load(files(module).joinpath("config.yaml").read_text(encoding="utf-8"))
    chosen = [each for each in primary.get("defaults", ()) if isinstance(each, dict)]
    return {group for each in chosen for group, options in each.items() if isinstance(options, list)}


def _is_open(key: str) -> bool:
    return any(key == group or key.startswith(f"{group}.") for group in _OPEN)


def _is_new(override: Override, overrides: Sequence[str], loader: ConfigLoader, name: str) -> bool:
    """Whether an override adds something that no group is there for; keys inside groups are checked with the group."""
    top = override.key_or_group.partition(".")[0]
    if not (override.is_add() or override.is_force_add()) or "/" in top or loader.get_group_options(top):
        return False
    return top not in hydra_compose(name) and f"+{top}" not in {line.partition("=")[0] for line in overrides}


def _opened(line: str) -> str:
    """The override, with Hydra's sign for keys that are not there yet where any key may be."""
    return f"++{line}" if _is_open(line.partition("=")[0].strip()) else line


def _check_search(line: str, paths: object) -> None:
    """Refuse a search path that leads nowhere, which Hydra only warns of."""
    if not isinstance(paths, list):
        raise UserError(f"{line}: expected a list of folders, such as {_SEARCH}=[file://my/conf]")
    for path in paths:
        if "://" not in str(path) or (str(path).startswith("file://") and not Path(str(path)[7:]).is_dir()):
            raise UserError(f"{line}: {path} is not a folder of configuration files (file://FOLDER)")
