"""What a certificate says of trials: each record against luck of its own length, nothing where too little is known."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from experiments.certificates import certificate as module
from experiments.certificates.counting import Sample
from experiments.certificates.family import MEMBERS
from experiments.certificates.openings import Opening
from experiments.certificates.performing import Performance
from experiments.certificates.series import Record
from experiments.certificates.trials import Counted, Replayed, count_trials
from markets.errors import UserError

YEAR = 252.0


def noise(days: int, columns: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.01, (days, columns))


def record(days: int, seed: int) -> Record:
    returns = noise(days, len(MEMBERS), seed)
    equity = np.cumprod(1 + returns, axis=0)
    return Record(np.datetime64("2020-01-01") + np.arange(days), returns, 0 * returns, equity, equity)


def counted(days: dict[str, int], births: int, *, kept: bool = True) -> Counted:
    """Of a run without merit: births on as many days of validation, a family on all parts."""
    nothing = np.zeros(len(MEMBERS))
    performance = Performance(
        holdout=(record(days["holdout"], 1),),
        training=record(days["training"], 2),
        validation=record(days["validation"], 3),
        shown=(),
        exposure=nothing,
        spells=nothing.astype(int),
    )
    sample = Sample(noise(days["validation"], births, 4), np.full(births, 99))
    return count_trials(
        Replayed(sample, "") if kept else Replayed(None, "nobody was kept"),
        performance,
        cast(Opening, SimpleNamespace(opening=1)),
        births=births,
        candidates=(births, "counted"),
        settings=0,
        days_per_year=YEAR,
    )


def test_training_is_held_to_luck_on_as_many_days_as_training_has() -> None:
    """The best of as many worthless genomes, drawn on records of either length, is as lucky as is said."""
    days, births = {"training": 1000, "validation": 250, "holdout": 300}, 400
    trials = counted(days, births).trials
    for part in ("training", "validation"):
        drawn = [noise(days[part], births, seed) for seed in range(10, 20)]
        best = np.mean([(own.mean(0) / own.std(0, ddof=1)).max() for own in drawn])
        assert trials[part]["expected_maximum"] == pytest.approx(best, rel=0.1)
    ratio = trials["validation"]["variance"] / trials["training"]["variance"]
    assert ratio == pytest.approx(4, rel=0.15)  # either may be raised to what its own record's autocorrelation gives


def test_overfitting_is_of_the_births_that_were_kept_and_of_nobody_else() -> None:
    found = counted({"training": 60, "validation": 40, "holdout": 60}, 30).overfitting
    assert found is not None
    assert found["columns"] + found["idle"] + found["merged"] == 30


@pytest.mark.parametrize("validation", [1, 2])
def test_too_short_a_validation_leaves_trials_unknown_and_says_why(validation: int) -> None:
    found = counted({"training": 50, "validation": validation, "holdout": 60}, 30)
    training = found.trials["training"]
    assert (training["raw"], training["effective"], training["variance"], training["path"]) == (30, None, None, None)
    assert found.overfitting is None
    said = "1 day" if validation == 1 else "2 days"
    assert found.why["trials.training"] == f"validation has {said}, and 3 are needed to tell births apart"
    assert found.why["overfitting"].startswith(f"validation has {said}, and 32")
    assert found.trials["holdout"]["deflated"] is not None
    assert found.luck is not None


def test_where_no_birth_was_kept_that_is_why() -> None:
    found = counted({"training": 50, "validation": 60, "holdout": 60}, 30, kept=False)
    assert found.why == {"trials.training": "nobody was kept", "overfitting": "nobody was kept"}
    assert found.trials["training"]["effective"] is None


@pytest.mark.parametrize(("regimes", "judged"), [([4, 4, 4], 5), ([4, 1, 2], 1)])
def test_a_fold_in_which_nothing_can_be_judged_is_told_before_anything_is_opened(
    regimes: list[int], judged: int
) -> None:
    def market(regime: list[int], rows: int) -> Any:
        parts = SimpleNamespace(train=range(2), validation=range(2, 3), holdout=range(3, 3 + rows))
        segment = SimpleNamespace(first=0, last=2, rows=parts)
        return SimpleNamespace(
            segments=[segment], scalers=[None], tape=SimpleNamespace(regime=np.asarray(regime, np.int32))
        )

    bars = SimpleNamespace(symbol="A", time=np.datetime64("2024-01-01", "s") + np.arange(9))
    case: Any = SimpleNamespace(
        directory=SimpleNamespace(root="runs/a"),
        study=SimpleNamespace(market=SimpleNamespace(mode="pool")),
        bars=[bars],
        markets=[market([4, 1, 2], 5), market([4, 1, 2], 5)],
    )
    assert set(module._spans(case)) == {"A"}
    case.markets[1] = market(regimes, judged)
    with pytest.raises(UserError, match=r"runs/a: fold 1: no symbol has a holdout to be judged on"):
        module._spans(case)
