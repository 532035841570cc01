"""Replay: explicit orders through the broker, in float64."""
