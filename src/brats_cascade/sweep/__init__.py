"""Hyperparameter tuning: Optuna studies whose trials train one experiment."""
