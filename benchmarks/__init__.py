"""Speed, each module a command that prints ratios measured in one process."""
