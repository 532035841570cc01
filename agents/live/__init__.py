"""The runner: a champion's bundle, loaded with NumPy and safetensors alone, decides live as it did in the arena.

The same files travel inside every bundle as `runner/`, so a bot needs nothing else of this project. Nothing here loads
JAX; what the arena computes in float32 is computed here in float32 and in the same order.
"""

from agents.live.account import Account
from agents.live.bar import Bar
from agents.live.champion import Champion
from agents.live.decision import REASONS, Decision
from agents.live.market import Observation

__all__ = ["REASONS", "Account", "Bar", "Champion", "Decision", "Observation"]
