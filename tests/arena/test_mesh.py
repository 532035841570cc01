"""How islands are shared by the devices of several processes."""

import pytest

from arena.plan import devices_each
from markets.errors import UserError


@pytest.mark.parametrize(
    ("own", "places", "count", "each"),
    [
        ([4], 4, None, 4),
        ([4], 6, None, 3),
        ([2, 2], 4, None, 2),
        ([2, 2], 2, None, 1),
        ([4, 4], 6, None, 3),
        ([4, 2], 8, None, 2),
        ([4, 4], 8, 2, 2),
        ([1, 1, 1], 6, None, 1),
    ],
)
def test_every_process_gives_equally_many_devices(own: list[int], places: int, count: int | None, each: int) -> None:
    assert devices_each(own, places, count) == each
    assert places % (each * len(own)) == 0


def test_islands_that_cannot_be_shared_and_devices_that_are_not_there_are_refused() -> None:
    with pytest.raises(UserError, match=r"evolution\.islands: 3 islands .* by 2 processes; give a multiple of 2"):
        devices_each([2, 2], 3, None)
    with pytest.raises(UserError, match=r"device\.count: 3 devices asked for, 2 there"):
        devices_each([4, 2], 4, 3)
