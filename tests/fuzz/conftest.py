"""Small runs are made as the tests of run directories make them."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "experiments"))
