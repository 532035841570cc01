"""A holdout that ancestors were bred on lets nobody pass."""

from experiments.certificates.ancestors import not_unseen
from experiments.certificates.reading import certificate_hash

WHY = "ancestors of these champions had seen bars of this holdout (a, b), so it is not unseen"


def certificate(verdict: str, *members: str) -> dict[str, object]:
    family = [{"member": f"m{place}", "verdict": own, "reasons": ["x"]} for place, own in enumerate(members)]
    return {"verdict": verdict, "reasons": ["y"], "family": family, "hash": "0" * 64}


def test_what_passed_is_insufficient_and_says_why_first() -> None:
    told = not_unseen(certificate("pass", "pass", "fail"), ["a", "b"])
    assert (told["verdict"], told["reasons"]) == ("insufficient", [WHY, "y"])
    assert [(own["verdict"], own["reasons"]) for own in told["family"]] == [
        ("insufficient", [WHY, "x"]),
        ("fail", ["x"]),
    ]
    assert told["hash"] == certificate_hash(told)


def test_what_failed_stays_so_and_says_it_too() -> None:
    told = not_unseen(certificate("fail", "fail"), ["a", "b"])
    assert (told["verdict"], told["reasons"]) == ("fail", ["y", WHY])
    assert told["family"] == certificate("fail", "fail")["family"]
