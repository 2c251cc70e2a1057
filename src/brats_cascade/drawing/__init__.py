"""Draws arrays and tables as images."""
