"""Lineage: who descends from whom as arrays, its metrics, sweeps and filters, and the formats it is exchanged in."""
