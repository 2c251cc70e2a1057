"""Tracking servers that hold every caller, on the loopback."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """What every caller gets.

    Args:
        first: At once.
        then: Again and again until the end, every `pause` seconds; empty to keep silent.
        pause: Seconds.
        closes: Whether the connection ends after `first`.
    """

    first: bytes
    then: bytes = b""
    pause: float = 0.1
    closes: bool = False


def _whole(status: str, body: bytes = b"", *, headers: str = "") -> Answer:
    head = f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return Answer(head.encode() + body, closes=True)


_OPEN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"
ANSWERS = {
    "hangs": Answer(b""),
    "asks to come back in an hour": Answer(_whole("429 Too Many Requests", headers="Retry-After: 3600\r\n").first),
    "sends single bytes": Answer(_OPEN, b" "),
}
MORE = {
    "closes at once": Answer(b"", closes=True),
    "fails every time": _whole("500 Internal Server Error", b"{}"),
    "is unavailable, asks to come back in an hour": _whole("503 Service Unavailable", headers="Retry-After: 3600\r\n"),
    "redirects in a circle": _whole("302 Found", headers="Location: /again\r\n"),
    "is a web page": _whole("200 OK", b"<html>Please log in</html>", headers="Content-Type: text/html\r\n"),
    "answers every call with an empty JSON object": _whole(
        "200 OK", b"{}", headers="Content-Type: application/json\r\n"
    ),
    "refuses everyone": _whole("403 Forbidden", b"no"),
    "speaks another protocol": Answer(b"220 mail.example ESMTP\r\n", closes=True),
    "sends endless headers": Answer(b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n"),
}


@contextlib.contextmanager
def server(answer: Answer) -> Iterator[int]:
    """Its port; it gives every caller the answer."""
    over = threading.Event()

    def serve(caller: socket.socket) -> None:
        with caller, contextlib.suppress(OSError):
            caller.recv(65536)
            caller.sendall(answer.first)
            while answer.then and not over.wait(answer.pause):
                caller.sendall(answer.then)
            if not answer.closes:
                over.wait()

    def listen(own: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(own.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as own:
        threading.Thread(target=listen, args=(own,), daemon=True).start()
        yield own.getsockname()[1]
        over.set()
