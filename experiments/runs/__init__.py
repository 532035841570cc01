"""Runs: what makes one, what it leaves on disk, and how it goes on."""
