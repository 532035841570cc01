"""Decision rules of a run's champions: a grid of them, tried on validation, and what it chose."""
