"""Composing with Hydra: what comes out, what each mistake is told, and how sweeps expand."""

import contextlib
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.configuration import compose as composer
from experiments.configuration.compose import expand, group_options, search_override
from experiments.configuration.help import describe, key_comments
from experiments.configuration.keys import flatten
from experiments.mistakes import MistakesError
from markets.errors import UserError

TOY = "toy_conf_of_configuration"
FILES = {
    "__init__.py": "",
    "config.yaml": """\
# A toy run.
defaults:
  - market: synthetic
  - broker: retail
  - brain: [small]
  - _self_

seed: 0  # randomness of the whole run
label: run-${seed}
note: "a # sign"
evolution:
  # How many live at once,
  # in each species.
  agents: 10
  generations: 5
  rates:  # of mutation
    - 0.1
    - 0.2
device:
  block: 3
""",
    "market/synthetic.yaml": "# A made market with a known edge.\nbars: 100  # how many\nedge: 0.5\n",
    "market/file.yaml": "# Bars from a file of yours.\npath: ???  # where they are\n",
    "broker/retail.yaml": "# What is charged.\nspread: 0.1\n",
    "brain/small.yaml": "# @package brain.small\n# Few units.\nunits: 4  # of one layer\n",
    "brain/large.yaml": "# @package brain.large\n# Many units.\nunits: 400  # of one layer\n",
    "broker/free.yaml": "spread: 0.0\n",
}


@pytest.fixture(scope="module", autouse=True)
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("configuration")
    for path, text in FILES.items():
        file = folder / TOY / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))


def compose(*overrides: str) -> dict:
    return composer.compose(overrides, module=TOY)


def refusal(*overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        compose(*overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_defaults_are_composed_and_resolved_into_plain_values() -> None:
    config = compose()
    assert config == {
        "seed": 0,
        "label": "run-0",
        "note": "a # sign",
        "evolution": {"agents": 10, "generations": 5, "rates": [0.1, 0.2]},
        "device": {"block": 3},
        "market": {"bars": 100, "edge": 0.5},
        "broker": {"spread": 0.1},
        "brain": {"small": {"units": 4}},
    }
    assert type(config["evolution"]) is dict
    assert type(config["evolution"]["rates"]) is list


def test_overrides_choose_options_and_set_keys_and_the_last_of_a_key_holds() -> None:
    config = compose("broker=free", "seed=3", "evolution.agents=7", "seed=4", "+evolution.extra=1")
    assert config["broker"] == {"spread": 0.0}
    assert config["label"] == "run-4"
    assert config["evolution"]["agents"] == 7
    assert config["evolution"]["extra"] == 1


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["sed=3"], "sed: unknown key; did you mean seed?"),
        (["evolution.agent=3"], "evolution.agent: unknown key; did you mean evolution.agents?"),
        (["agents=3"], "agents: unknown key; did you mean evolution.agents?"),
        (["marke=file"], "marke: unknown key; did you mean market?"),
        (["device.x=3"], "device.x: unknown key; known keys: device.block"),
        (["zzz=3"], "zzz: unknown key; --help lists the keys"),
        (["seed.x=3"], "seed.x: unknown key; did you mean seed?"),
        (["evoluton.agents=3"], "evoluton.agents: unknown key; did you mean evolution.agents?"),
        (["evolution.agent.x=3"], "evolution.agent.x: unknown key; did you mean evolution.agents?"),
        (["device.block.x=3"], "device.block.x: unknown key; did you mean device.block?"),
        (["market.path=a.csv"], "market.path: unknown key; market=file has it"),
        (["+new.key=3"], "new.key: unknown key; --help lists the keys"),
        (["++sede=3"], "sede: unknown key; did you mean seed?"),
        (["~seed"], "~seed: nothing can be left out; write seed=... instead, with null where it may be empty"),
        (["~market"], "~market: nothing can be left out; options: file, synthetic"),
        (["~market=synthetic"], "~market=synthetic: nothing can be left out; options: file, synthetic"),
        (["market=[file,synthetic]"], "market=[file,synthetic]: market is one choice, not several; options: "),
        (["market@x=file"], "market@x=file: a choice stands in its own place; write market=... without the @"),
        (["brain=[small,x]"], "brain=x: no such option; options: large, small"),
        (["broker=x"], "broker=x: no such option; options: free, retail"),
        (["broker=retial"], "broker=retial: no such option; did you mean broker=retail? options: free, retail"),
        (["broker=null"], "broker=null: broker is a choice; options: free, retail"),
        (["+broker=free"], "broker: chosen already; write broker=... without the +"),
        (["+seed=1"], "+seed: is there already; write seed=... without the +"),
        (["market=file"], "market.path: missing; write market.path=..."),
        (["seed"], "seed: not an override; write key=value"),
        ([""], "'': not an override; write key=value"),
        (["hydra=x"], "hydra=x: Hydra's own settings have no effect here; leave it out"),
        (["evolution..agents=3"], "evolution..agents=3: 'evolution..agents' is not a key; write key=value with "),
        (["label=${oc.env:NO_SUCH_NAME}"], "label: Environment variable 'NO_SUCH_NAME' not found"),
        (["=3"], "=3: no key before the =; write key=value"),
        (["se ed=3"], "se ed=3: 'se ed' is not a key; write key=value with a dotted name such as evolution.agents"),
        (["seed=[1,2"], "seed=[1,2: cannot read the value; a bracket has no partner"),
        (["hydra.run.dir=x"], "hydra.run.dir=x: Hydra's own settings have no effect here; leave it out"),
        (["hydra/launcher=x"], "hydra/launcher=x: Hydra's own settings have no effect here; leave it out"),
        (["label=${nowhere}"], "label: Interpolation key 'nowhere' not found"),
        (["seed=nofn(3)"], "seed=nofn(3): Unknown function 'nofn'; Available: "),
        (["seed=range(1,3)"], "seed=range(1,3): several values for one run; add --multirun to sweep over them"),
        (
            ["seed=1,2"],
            "seed=1,2: several values for one run; add --multirun to sweep over them, or write a list as seed=[1,2]",
        ),
    ],
)
def test_a_mistake_is_one_line_with_the_key_and_what_would_be_right(overrides: list[str], message: str) -> None:
    said = refusal(*overrides)
    assert said.startswith(message) if message.endswith(" ") else said == message


def test_an_unknown_key_is_looked_for_under_the_chosen_options() -> None:
    assert refusal("market=file", "market.pat=x").endswith("did you mean market.path?")
    assert "market.path" not in refusal("market.pat=x")


@pytest.mark.parametrize("value", ["~/bars.csv", "été.csv", "a=b.csv", "a(1).csv", "x's.csv", "2024 (a), b.csv"])
def test_the_quoting_that_a_refusal_proposes_gives_the_value_when_a_shell_reads_it(value: str) -> None:
    message = refusal(f"label={value}")
    _, proposal = message.split("stands in quotes twice: ") if "twice: " in message else ("", "")
    (word,) = shlex.split(proposal)
    assert compose(word)["label"] == value


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=12), st.text(st.characters(codec="ascii"), max_size=12))
def test_no_text_at_all_gets_past_as_anything_but_a_value_or_one_refusal(key: str, value: str) -> None:
    with contextlib.suppress(UserError):
        assert compose(f"{key}={value}").keys() >= {"seed", "evolution"} - {key.strip("~")}


def test_mandatory_values_stay_visible_where_only_shown() -> None:
    assert composer.compose(["market=file"], module=TOY, partial=True)["market"] == {"path": "???"}


def test_composing_leaves_no_trace_on_disk_or_in_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    compose("seed=1")
    refusal("sed=1")
    assert list(tmp_path.iterdir()) == []
    assert not GlobalHydra.instance().is_initialized()


def test_sweeps_expand_to_their_product_in_order() -> None:
    assert expand(["seed=1,2", "broker=glob(*)", "label=x"], module=TOY) == [
        ["seed=1", "broker=free", "label=x"],
        ["seed=1", "broker=retail", "label=x"],
        ["seed=2", "broker=free", "label=x"],
        ["seed=2", "broker=retail", "label=x"],
    ]
    assert expand(["seed=range(0,6,2)"], module=TOY) == [["seed=0"], ["seed=2"], ["seed=4"]]
    assert expand(["seed=choice(3,5)"], module=TOY) == [["seed=3"], ["seed=5"]]
    assert expand(["evolution.rates=[1,2],[3]"], module=TOY) == [
        ["evolution.rates=[1,2]"],
        ["evolution.rates=[3]"],
    ]


def test_a_quoted_comma_survives_a_sweep() -> None:
    jobs = expand(["label='a,b',c"], module=TOY)
    assert [compose(*job)["label"] for job in jobs] == ["a,b", "c"]


def test_what_is_not_swept_is_one_job() -> None:
    assert expand([], module=TOY) == [[]]
    assert expand(["seed=1", "evolution.rates=[1,2]"], module=TOY) == [["seed=1", "evolution.rates=[1,2]"]]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("device.block=1,2", "cannot vary inside one process"),
        ("device=range(0,2)", "cannot vary inside one process"),
        ("seed=interval(0,1)", "an interval has no list of values"),
        ("broker=glob(z*)", "matches nothing; options: free, retail"),
        ("seed=range(3,3)", "matches nothing"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused(override: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        expand([override], module=TOY)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{override}: ")
    assert words in str(caught.value)


def test_all_sweeps_that_cannot_be_are_told_and_a_slip_of_the_pen_is_met_at_once() -> None:
    with pytest.raises(MistakesError) as caught:
        expand(["device.block=1,2", "seed=range(3,3)", "agents", "label=x"], module=TOY)
    assert [line.partition(":")[0] for line in caught.value.lines] == ["device.block=1,2", "seed=range(3,3)", "agents"]
    with pytest.raises(UserError, match="more than 10,000 jobs"):
        expand(["seed=range(0,1000000000)", "evolution.agents=range(0,1000)"], module=TOY)


def test_a_key_that_only_begins_like_a_fixed_group_may_vary() -> None:
    assert len(expand(["devices=1,2"], module=TOY)) == 2


def test_a_users_own_folder_adds_options(tmp_path: Path) -> None:
    mine = tmp_path / "it's mine, (really) é"
    (mine / "broker").mkdir(parents=True)
    (mine / "broker" / "own.yaml").write_text("spread: 9\n")
    where = search_override(mine)
    assert compose(where, "broker=own")["broker"] == {"spread": 9}
    assert refusal(where, "broker=no").endswith("options: free, own, retail")


def test_a_broken_file_of_the_users_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    (tmp_path / "broker" / "own.yaml").write_text("spread: [1\nb: 2\n")
    assert "own.yaml" in refusal(search_override(tmp_path), "broker=own")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a folder of configuration files"):
        search_override(tmp_path / "nowhere")
    assert "not a folder" in refusal("hydra.searchpath=['file:///no/such/folder']")
    assert "expected a list" in refusal("hydra.searchpath=x")


def test_groups_and_their_options_are_listed() -> None:
    assert group_options(module=TOY) == {
        "brain": ["large", "small"],
        "broker": ["free", "retail"],
        "market": ["file", "synthetic"],
    }


def test_flatten_gives_dotted_keys_in_order() -> None:
    assert flatten({"b": {"c": 1, "a": {}}, "a": [1]}) == {"b.c": 1, "b.a": {}, "a": [1]}


def test_a_keys_comment_is_what_stands_beside_it_or_above_it() -> None:
    said = key_comments("config.yaml", "", TOY)
    assert said["seed"] == "randomness of the whole run"
    assert said["label"] == ""
    assert said["note"] == ""
    assert said["evolution.agents"] == "How many live at once, in each species."
    assert said["evolution.rates"] == "of mutation"
    assert key_comments("market/file.yaml", "market.", TOY) == {"market.path": "where they are"}


def test_the_description_shows_every_option_and_every_key_under_the_choices_made() -> None:
    text, others = describe(["market=file", "seed=9"], module=TOY, width=80).split("\n\nkeys that other choices bring")
    lines = [line.split("  ") for line in text.splitlines()]
    cells = {cell.strip(): [part.strip() for part in parts] for parts in lines for cell in parts[1:2]}
    assert "market=file *" in cells
    assert "A made market with a known edge." in cells["market=synthetic"]
    assert "market.path=???" in cells
    assert "market.bars=100" not in cells
    assert "randomness of the whole run" in cells["seed=9"]
    assert "evolution.rates=[0.1,0.2]" in cells
    assert cells["brain.small.units=4"][-1] == "of one layer"
    assert "brain.large.units=400" not in cells
    assert "What is charged." not in cells["broker.spread=0.1"]
    assert "brain=small *" in cells
    assert "brain=large" in cells
    assert "market.bars=100" in others
    assert "brain.large.units=400" in others
    assert "brain.large.units=400" in describe(["brain=[small,large]"], module=TOY).split("keys that other")[0]
    assert list(cells).index("seed=9") < list(cells).index("market.path=???")
    assert max(map(len, describe([], module=TOY, width=60).splitlines())) <= 60


def test_groups_of_the_users_own_keys_take_any_key() -> None:
    assert composer.compose(["costs={EURUSD: {commission: 0.1}}"])["costs"] == {"EURUSD": {"commission": 0.1}}
    assert composer.compose(["costs.EURUSD.commission=0.1", "costs.GBPUSD.spread=2"])["costs"] == {
        "EURUSD": {"commission": 0.1},
        "GBPUSD": {"spread": 2},
    }
    bars = ["market=bars", "market.path=a.csv"]
    assert composer.compose([*bars, "market.columns={funding: 1}"])["market"]["columns"] == {"funding": 1}
    with pytest.raises(UserError, match=r"cost.EURUSD: unknown key; did you mean costs.EURUSD\?"):
        composer.compose(["cost.EURUSD=1"])
