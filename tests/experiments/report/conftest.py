"""What tests of the report share: runs to report on, made once a session however many workers there are."""

from pathlib import Path

import pytest
from large_report_run import make_large
from report_certificate import certified
from report_runs import made_once, make_report, make_small


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small finished run of both species; to be copied before anything in it is changed."""
    return made_once(tmp_path_factory, "small", make_small)


@pytest.fixture(scope="session")
def large_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of a million births, without genomes; not to be changed."""
    return made_once(tmp_path_factory, "large", make_large)


@pytest.fixture(scope="session")
def small_report(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the small run, with a certificate and an inference grid made by hand."""

    def make(folder: Path) -> None:
        make_report(certified(small_run, folder / "run").root, folder)

    return made_once(tmp_path_factory, "small-report", make) / "report.html"


@pytest.fixture(scope="session")
def large_report(large_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the large run."""
    return made_once(tmp_path_factory, "large-report", lambda folder: make_report(large_run, folder)) / "report.html"
