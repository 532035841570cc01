"""Bundles: a champion as one folder that a live bot loads without us, and checks that it acts there as it did here."""
