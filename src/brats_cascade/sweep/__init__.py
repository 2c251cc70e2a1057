"""Searches for better training settings: Optuna studies whose trials are trainings of one experiment."""
