"""What tests of the report share: runs to report on, made once a session however many workers there are."""

from pathlib import Path

import pytest
from large_report_run import make_large
from report_runs import made_once, make_small


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small finished run of both species; to be copied before anything in it is changed."""
    return made_once(tmp_path_factory, "small", make_small)


@pytest.fixture(scope="session")
def large_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of a million births, without genomes; not to be changed."""
    return made_once(tmp_path_factory, "large", make_large)
