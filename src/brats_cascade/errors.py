"""The one exception a user's mistake ends in: a single line, no traceback."""


class UserError(Exception):
    """A mistake the user can mend: says what was expected, what was received and what to do, on one line.

    `pipelines/` and the command line print the message alone and exit with 1; everything else keeps its traceback.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(str(message).split()))


def one_line(error: Exception) -> str:
    """What another library said, shortened."""
    return " ".join(str(error).split())[:200]
