"""Scores of regions, cases and experiments."""
