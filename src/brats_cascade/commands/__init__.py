"""The implementation of the commands; cli.py defines only their names and options."""
