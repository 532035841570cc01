"""Founders that other libraries train: labels from forward returns, models of them, and the genomes they become."""
