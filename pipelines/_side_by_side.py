"""Work in several threads, each of which waits for processes of its own."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor


def side_by_side(work: Callable[[int], None], *, items: Sequence[int], at_once: int) -> None:
    """Does the work for every item, for some at once; after an error or Ctrl-C none begins, and those under way are waited for.

    Args:
        work: Of one item.
        items: In the order in which they begin.
        at_once: Threads, at least 1; with one they follow each other.

    Raises:
        BaseException: That of the first item, in their order, that failed.
    """
    stopped = threading.Event()

    def one(item: int) -> None:
        if stopped.is_set():
            return
        try:
            work(item)
        except BaseException:
            stopped.set()  # here, before this thread takes up the next item
            raise

    with ThreadPoolExecutor(at_once) as pool:
        try:
            for running in [pool.submit(one, item) for item in items]:
                running.result()
        except BaseException:
            stopped.set()
            raise
