"""Arrays and tables as pictures."""
