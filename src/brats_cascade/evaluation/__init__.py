"""Scores, tables, figures and the report."""
