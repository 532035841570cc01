"""The edge study: whether evolution finds a known edge, and none where there is none."""
