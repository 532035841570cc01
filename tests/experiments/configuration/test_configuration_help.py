"""Help says everything: each key of each settings class stands in the configuration, with words and its options."""

import dataclasses
import typing
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
import yaml

from arena.settings import Settings
from experiments.configuration import study
from experiments.configuration.compose import compose, group_options
from experiments.configuration.help import describe, key_comments
from experiments.configuration.keys import flatten
from genomes.registry import SPECIES, settings_class
from markets.lessons import LESSONS
from markets.source import FileSettings, IndexSettings
from markets.synthetic import SyntheticSettings

MARKETS: dict[str, type[Any]] = {
    "synthetic": SyntheticSettings,
    **LESSONS,
    "bars": FileSettings,
    "sp500": IndexSettings,
}
OWN = {"market.name", "market.mode"}
"""Keys of a market that belong to none of its sources."""


def keys(cls: type[Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Dotted keys of a settings class, with their types; groups within are walked."""
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind):
            yield from keys(typing.cast("type[Any]", kind), f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", kind


def classes(group: str, option: str) -> dict[str, Any]:
    """Keys that an option of a group must have, with their types."""
    if group == "market":
        return dict(keys(MARKETS[option], "market."))
    if group == "species":
        return dict(keys(settings_class(option), f"species.{option}."))
    own = {
        "record": study.RecordSettings,
        "terminal": study.TerminalSettings,
        "training": study.TrainingSettings,
        "bundle": study.BundleSettings,
    }
    return dict(keys(own.get(group) or typing.get_type_hints(Settings)[group], f"{group}."))


OPTIONS = [(group, option) for group, options in group_options().items() for option in options]


def prefix(group: str, option: str) -> str:
    return f"species.{option}." if group == "species" else f"{group}."


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_an_option_has_every_key_of_its_settings_and_words_for_each(group: str, option: str) -> None:
    path = f"{group}/{option}.yaml"
    text = files("conf").joinpath(group, f"{option}.yaml").read_text(encoding="utf-8")
    written = flatten(yaml.safe_load(text), prefix(group, option))
    wanted = classes(group, option)
    assert set(written) - OWN == set(wanted)
    words = key_comments(path, prefix(group, option))
    assert [key for key in written if len(words[key]) < 8] == []
    for key, kind in wanted.items():
        if typing.get_origin(kind) is typing.Literal:
            for choice in typing.get_args(kind):
                assert choice in words[key], f"{key}: its words do not name {choice}"
    first = next(line for line in text.splitlines() if not line.startswith("# @"))
    assert first.startswith("# "), f"{path}: does not say what the option is"


def test_every_species_and_every_market_is_an_option() -> None:
    options = group_options()
    assert set(options["species"]) == set(SPECIES)
    assert set(options["market"]) == set(MARKETS)


def test_what_holds_without_a_word_is_what_python_has_too() -> None:
    made = study.make_study(compose())
    assert made.settings == Settings.build({})
    assert made.record == study.RecordSettings()
    assert made.training == study.TrainingSettings()
    assert made.founders == "random"
    source = made.market.source
    # A first run shall find something; a settings class promises nothing.
    assert dataclasses.replace(source, edge=0.0) == SyntheticSettings()


def test_help_shows_every_key_and_every_option_whatever_is_chosen() -> None:
    every = {key for group, option in OPTIONS for key in classes(group, option)} | OWN
    every |= {"seed", "runs_dir", "force", "check", "costs", "species.founders"}
    for choice in ([], ["market=bars"], ["market=sp500", "selection=tournament", "trust=none"]):
        lines = describe(choice, width=120).splitlines()
        shown = {line.split("=")[0].strip() for line in lines if line.startswith("  ") and "=" in line[:60]}
        assert every <= shown, every - shown
        for group, option in OPTIONS:
            assert any(line.startswith(f"  {group}={option}") for line in lines)


def test_keys_of_other_choices_name_the_choice_that_brings_them() -> None:
    text = describe([], width=200)
    (line,) = [line for line in text.splitlines() if line.strip().startswith("market.path=")]
    assert line.split() == ["market.path=???", "a", "file,", "or", "a", "list", "of", "files", "(market=bars)"]
    (line,) = [line for line in describe(["market=bars"], width=200).splitlines() if "market.edge=" in line]
    assert line.endswith("(market=synthetic)")
