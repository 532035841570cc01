"""The house: who may import whom and what, what the wheel installs, and what must start without JAX.

The floors themselves are import-linter's contracts in `pyproject.toml`; here stands what contracts cannot say.
"""

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("agents", "arena", "conf", "experiments", "genomes", "markets")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

CORE = ("agents", "arena", "genomes", *(f"markets.{name}" for name in ("account", "broker", "rules", "sizing", "tape")))
"""The compiled core, which runs and is measured where nothing more than these is installed."""
CORE_NEEDS = {"flax", "jax", "jaxlib", "jaxtyping", "numpy", "optax"}
ADAPTER = "agents.live.nautilus"
"""Modules that are made of another library's classes; nothing else of ours loads them."""
LIVE_NEEDS = {"numpy", "onnxruntime", "safetensors"}
"""What the runner of bundles may use: no part of the compiled core, as a bot has neither JAX nor the rest of us."""
EDGE = {"arena.api", "arena.frames", "arena.schemas", "arena.standings"}
"""The face of the arena towards Python users, where tables may stand; nothing inside the core imports it."""

NO_JAX = (
    *PACKAGES,
    "agents.live",
    "experiments.bench.latency",
    "experiments.bench.lineage",
    "experiments.cli",
    "experiments.configuration.compose",
    "experiments.commands.evolve",
    "experiments.commands.data_make",
    "markets.bars",
    "markets.calendars",
    "markets.errors",
    "markets.features",
    "markets.readers",
    "markets.regimes",
    "markets.scaling",
    "markets.settings",
    "markets.splits",
)


def modules(*names: str) -> Iterator[tuple[str, Path]]:
    """Every module at or below the given dotted names, with its file."""
    for name in names:
        place = ROOT / name.replace(".", "/")
        files = place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]
        for file in sorted(files):
            parts = file.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), file


def imports(file: Path, *, loading: bool = False) -> set[str]:
    """Dotted names a file imports anywhere, or when it is loaded alone; `from a import b` counts as `a.b`."""
    found, tree = set(), ast.parse(file.read_text(encoding="utf-8"))
    for node in tree.body if loading else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def foreign(file: Path, *, loading: bool = False) -> set[str]:
    """Top-level names of other people's packages that a file imports."""
    tops = {name.partition(".")[0] for name in imports(file, loading=loading)}
    return tops - set(sys.stdlib_module_names) - set(PACKAGES)


def python(code: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run Python on some code, in a process of its own."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload, no-any-return]


def test_the_compiled_core_imports_arrays_and_nothing_else() -> None:
    for name, file in modules(*CORE):
        if name not in EDGE and not f"{name}.".startswith("agents.live."):
            assert foreign(file) <= CORE_NEEDS, f"{name} imports {sorted(foreign(file) - CORE_NEEDS)}"


def test_the_runner_of_bundles_needs_numpy_and_safetensors_alone() -> None:
    """And onnxruntime where it is asked for; the one module that speaks to NautilusTrader is loaded by those who do."""
    for name, file in modules("agents.live"):
        if not name.startswith(ADAPTER):
            assert foreign(file) <= LIVE_NEEDS, f"{name} imports {sorted(foreign(file) - LIVE_NEEDS)}"
            assert foreign(file, loading=True) <= {"numpy"}, name


def test_nothing_inside_the_core_imports_its_tabular_face() -> None:
    for name, file in modules(*CORE):
        if name not in EDGE and file.name != "__init__.py":
            reached = {edge for edge in EDGE for wanted in imports(file) if f"{wanted}.".startswith(f"{edge}.")}
            assert not reached, f"{name} imports {sorted(reached)}"


def test_every_import_of_the_installed_packages_is_a_declared_dependency() -> None:
    """Those of extras too, but never while a file is loaded: they may be absent, and are slow to come."""
    project = PROJECT["project"]
    owners = importlib.metadata.packages_distributions()
    extras = [
        line for name in ("live", "nautilus", "plots", "trees") for line in project["optional-dependencies"][name]
    ]
    for loading, extra in ((False, extras), (True, [])):
        declared = {canonicalize_name(Requirement(line).name) for line in [*project["dependencies"], *extra]}
        for name, file in modules(*PACKAGES):
            for top in set() if loading and name.startswith(ADAPTER) else foreign(file, loading=loading):
                wanted = {canonicalize_name(owner) for owner in owners.get(top, [top])}
                assert wanted & declared, f"{name} imports {top}{' while it is loaded' * loading}"


@pytest.mark.parametrize("name", NO_JAX)
def test_it_loads_without_jax(name: str) -> None:
    code = f"import sys, {name}; print(*sorted({{'jax', 'jaxlib'}} & set(sys.modules)))"
    result = python(code, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == ""


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_loads_nothing_by_itself(package: str) -> None:
    code = f"import sys; before = set(sys.modules); import {package}; print(*sorted(set(sys.modules) - before))"
    result = python(code, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    loaded = {name.partition(".")[0] for name in result.stdout.split()}
    assert loaded <= {package, *sys.stdlib_module_names}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["data"], ["data", "--help"], ["nonsense"]])
def test_the_command_answers_without_loading_what_it_does_not_need(arguments: list[str]) -> None:
    code = (
        "import sys; from experiments.cli import main; "
        f"main({arguments!r}); "
        "print(*sorted({'jax', 'numpy', 'polars', 'hydra', 'rich'} & set(sys.modules)), file=sys.stderr)"
    )
    result = python(code, cwd=ROOT)
    assert result.stderr.splitlines()[-1] == ""


def test_help_of_a_run_lists_its_keys_without_starting_jax() -> None:
    code = "import sys; from experiments.cli import main; main(['evolve', '--help']); print('jax' in sys.modules)"
    result = python(code, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "False"
    for key in ("seed=", "runs_dir=runs", "evolution.generations=", "evolution.agents=", "force=false", "check=false"):
        assert f"  {key}" in result.stdout


def test_every_command_has_its_module() -> None:
    from experiments.cli import COMMANDS

    for command in COMMANDS:
        module = importlib.import_module(command.module)
        assert callable(module.add_arguments), command
        assert callable(module.run), command


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the working tree."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_installs_exactly_our_packages(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    wanted = {
        file.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert {name for name in names if ".dist-info/" not in name} == wanted
    assert {name for name in names if name.startswith("conf/") and name.endswith(".yaml")} >= {"conf/config.yaml"}
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_the_wheel_works_in_any_folder_with_its_configuration(wheel: Path, tmp_path: Path) -> None:
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    zipfile.ZipFile(wheel).extractall(site)
    code = (
        "import sys, conf, experiments.cli\n"
        "for module in (conf, experiments.cli):\n"
        "    assert module.__file__.startswith(sys.argv[1]), module.__file__\n"
        "sys.exit(experiments.cli.main(['evolve', '--cfg', 'job', 'seed=41']))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(site)],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert "\nseed: 41\n" in f"\n{result.stdout}"
    assert list(elsewhere.iterdir()) == []


def test_the_wheel_offers_the_command_and_the_extras(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (points,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
    assert "arena = experiments.cli:main" in archive.read(points).decode()
    (about,) = (name for name in archive.namelist() if name.endswith("METADATA"))
    assert set(re.findall(r"^Provides-Extra: (\S+)$", archive.read(about).decode(), re.M)) >= {"cuda", "dev", "oracles"}


def test_constraints_pin_all_that_is_asked_for_within_its_bounds() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    versions = {}
    for pin in pins:
        (only,) = pin.specifier
        assert only.operator == "==", pin
        assert pin.url is None, pin
        versions[canonicalize_name(pin.name)] = only.version
    extras = PROJECT["project"]["optional-dependencies"]
    for line in [*PROJECT["project"]["dependencies"], *extras["dev"], *extras["oracles"]]:
        wanted = Requirement(line)
        assert versions[canonicalize_name(wanted.name)] in wanted.specifier, line


def test_continuous_integration_runs_the_one_test_command() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert re.search(r"^exec make test ", script.read_text(encoding="utf-8"), re.M)
    assert "bash .ci/run" in (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
