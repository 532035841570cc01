"""The same bits, however many devices share the islands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import hashlib
import jax
jax.config.update("jax_num_cpu_devices", 4)
import numpy as np
from arena import Arena, Settings, make_market
from markets.synthetic import SyntheticSettings, simulate

given = {
    "evolution": {"agents": 16, "islands": 4, "migration": {"every": 2, "agents": 1}},
    "episodes": {"episodes": 4, "bars": 32, "validation": 4},
    "species": {"qnetwork": {"hidden": [8]}, "forest": {"depth": 2, "market_trees": 3, "state_trees": 1}},
    "scars": {"enabled": True, "damage": True, "memory": {"enabled": True}, "drawdown": 0.005, "count": 2},
    "learning": {"inheritance": "baldwinian", "every": 8},
}
market = make_market(simulate(SyntheticSettings(edge=8, bars=6000), 0), Settings.build(given))
for count in (1, 4):
    arena = Arena(Settings.build({**given, "device": {"count": count}}), market)
    digest = hashlib.sha256()
    for _ in range(4):
        for leaf in jax.tree.leaves(jax.device_get(arena.step())):
            digest.update(np.ascontiguousarray(leaf).tobytes())
    for leaf in jax.tree.leaves(jax.device_get(arena.state)):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    print(arena.plan.mesh.devices.size, digest.hexdigest())
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_any_number_of_devices_gives_the_same_bits() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment, check=True)
    found = dict(line.split() for line in done.stdout.splitlines())
    assert list(found) == ["1", "4"]
    assert len(set(found.values())) == 1, found
