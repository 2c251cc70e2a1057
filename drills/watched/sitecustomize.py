"""Records the addresses that a process connects to, except the loopback; loaded when Python starts."""

import os
import sys


def _note(event: str, given: tuple) -> None:
    if event not in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        return
    address = given[0] if event == "socket.getaddrinfo" else given[1]
    host = address[0] if isinstance(address, tuple) else address
    name = host.decode(errors="replace") if isinstance(host, bytes) else str(host)
    if (event != "socket.getaddrinfo" and not isinstance(address, tuple)) or name in (
        "None",
        "",
        "::1",
        "localhost",
        "0.0.0.0",
    ):
        return  # a socket of the file system, or this machine
    if name.startswith("127."):
        return
    own = name == os.uname().nodename
    with open(os.environ["DRILL_ASKED"], "a", encoding="utf-8") as file:  # noqa: PTH123 - at every start: nothing more
        file.write(f"{event} {'(its own name)' if own else name}\n")


if os.environ.get("DRILL_ASKED"):
    sys.addaudithook(_note)
