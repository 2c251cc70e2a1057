"""Load on the served model: many requests at once, pipes, clients that disconnect, invalid bodies."""

import collections
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from drills.common import Drill, Findings, Task
from drills.project import quiet, variables

CROWD, ROUNDS = 200, 4
DEADLINE, AT_ONCE = 30.0, 10.0  # seconds: of the server, and in which an answer that computes nothing must come
CASE = "Image_Data/HG/0001"
BODIES = (
    b"",
    b"[",
    b"[1]",
    b"{}",
    b'{"dataframe_records": {}}',
    b'{"dataframe_records": [{}]}',
    b"\xff" * 5000,
    b"[" * 10**5,
)


class Service:
    """A `brats-cascade serve` that runs.

    Args:
        port: Where it listens.
        process: Its process.
    """

    def __init__(self, port: int, process: "subprocess.Popen[bytes]") -> None:
        self.port, self.process = port, process

    def ask(self, body: bytes, *, path: str = "/invocations", timeout: float = 3 * DEADLINE) -> tuple[int, float, str]:
        """Status, seconds and text of an answer; status 0 for none."""
        began = time.monotonic()
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
            connection.request("POST" if path == "/invocations" else "GET", path, body)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
            connection.close()
            return answer.status, time.monotonic() - began, text
        except (OSError, http.client.HTTPException) as error:
            return 0, time.monotonic() - began, f"{type(error).__name__}: {error}"

    def memory(self) -> float:
        """Resident, MB."""
        return float(psutil.Process(self.process.pid).memory_info().rss) / 2**20


def run_load(task: Task) -> Findings:
    """One server for all."""
    project, found = quiet(), Findings()
    cases = Path(shutil.copytree(project / "data/raw/phantom", task.folder / "cases"))
    with _serving(project, cases=cases, log=task.folder / "serve.log") as service:
        single = _single(service, found)
        _crowds(service, found, times=task.times(ROUNDS), single=single)
        _pipes(service, found, cases=cases)
        _nonsense(service, found, rng=np.random.default_rng(task.seed), times=task.times(100))
        _leavers(service, found, times=task.times(50))
        _single(service, found, after=single)
        began = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            service.process.wait(60)
        ended = service.process.poll()
        faults = [] if ended is not None else ["still there after 60 s"]
        found.add({"request": "SIGTERM", "longest, s": round(time.monotonic() - began, 1)}, tried=1, faults=faults)
    log = (task.folder / "serve.log").read_text(errors="replace")
    found.add({"request": "tracebacks in the server's log"}, tried=1, faults=["one"] * log.count("Traceback"))
    return found


@contextlib.contextmanager
def _serving(project: Path, *, cases: Path, log: Path) -> Iterator[Service]:
    with socket.create_server(("127.0.0.1", 0)) as own:
        port = own.getsockname()[1]
    words = [sys.executable, "-m", "brats_cascade.cli", "serve", "--model", "models/two_path", "--cases", str(cases)]
    words += ["--port", str(port), "--deadline", f"{DEADLINE:g}"]
    with log.open("wb") as file:
        process = subprocess.Popen(words, cwd=project, env=variables(project), stdout=file, stderr=file)
    service, ends = Service(port, process), time.monotonic() + 180
    try:
        while service.ask(b"", path="/ping", timeout=5)[0] != 200:
            if process.poll() is not None or time.monotonic() > ends:
                raise RuntimeError(log.read_text(errors="replace")[-2000:])
            time.sleep(0.2)
        yield service
    finally:
        process.kill()
        process.wait()


def _row_of(*rows: dict[str, Any]) -> bytes:
    return json.dumps({"dataframe_records": list(rows)}).encode()


def _single(service: Service, found: Findings, *, after: float | None = None) -> float:
    """One case by itself: its seconds, the second time."""
    service.ask(_row_of({"case": CASE}))
    status, seconds, text = service.ask(_row_of({"case": CASE}))
    faults = [] if status == 200 else [f"status {status}: {text[:200]}"]
    if after is not None and seconds > 10 * after + 5:
        faults.append(f"took {seconds:.1f} s, {after:.1f} s before")
    name = "a single request" if after is None else "a single request, at the end"
    row = {"request": name, "answered": int(status == 200), "longest, s": round(seconds, 1)}
    found.add({**row, "memory, MB": round(service.memory())}, tried=1, faults=faults)
    return seconds


def _crowds(service: Service, found: Findings, *, times: int, single: float) -> None:
    """200 at once: the queue is answered, the others are told at once to come again, and then the next one is answered."""
    answers: list[tuple[int, float, str]] = []
    next_ones, faults = [], []
    for _ in range(times):
        with ThreadPoolExecutor(CROWD) as crowd:
            answers += crowd.map(service.ask, [_row_of({"case": CASE})] * CROWD)
        status, seconds, text = service.ask(_row_of({"case": CASE}))
        next_ones.append(seconds)
        if status != 200:
            faults.append(f"the next one: status {status} {text[:100]}")
    counts = collections.Counter(status for status, *_ in answers)
    turned = [seconds for status, seconds, _ in answers if status == 503]
    faults += [f"status {status}: {count} times" for status, count in counts.items() if status not in (200, 503)]
    faults += [f"503 after {seconds:.0f} s" for seconds in turned if seconds > AT_ONCE]
    row = {"request": f"{CROWD} at once, {times} times", "answered": counts[200], "503 at once": counts[503]}
    row |= {
        "longest, s": round(max(seconds for _, seconds, _ in answers), 1),
        "longest 503, s": round(max(turned, default=0), 1),
    }
    found.add({**row, "memory, MB": round(service.memory())}, tried=len(answers), faults=faults)
    row = {"request": "the next request after each crowd", "answered": times, "longest, s": round(max(next_ones), 1)}
    found.add(row, tried=times, faults=[])


def _pipes(service: Service, found: Findings, *, cases: Path) -> None:
    """Cases of pipes, links out of the folder, names that are none: 400, and nothing waits."""
    bad = cases / "pipes"
    shutil.copytree(cases / CASE, bad)
    for path in list(bad.rglob("*T1.*.mha")):
        path.unlink()
        os.mkfifo(path)
    (cases / "out").symlink_to("/")
    names = ["pipes", "out", "out/etc", "/", "..", "../..", "gone", "x\0", "x" * 300, "", ".", "%2e%2e", "a/../../b"]
    answers = [service.ask(_row_of({"case": name})) for name in names * 3]
    faults = [f"status {status}: {text[:100]}" for status, _, text in answers if status != 400]
    faults += ["a stack trace" for *_, text in answers if "Traceback" in text]
    row = {"request": "pipes, links and names outside the folder", "400": sum(status == 400 for status, *_ in answers)}
    found.add({**row, "longest, s": round(max(s for _, s, _ in answers), 1)}, tried=len(answers), faults=faults)


def _nonsense(service: Service, found: Findings, *, rng: np.random.Generator, times: int) -> None:
    """Bodies that are no request: 400 in one line."""
    bodies = [*BODIES, *(rng.bytes(int(rng.integers(1, 2000))) for _ in range(times))]
    answers = [service.ask(body) for body in bodies]
    faults = [f"status {status}: {text[:100]}" for status, _, text in answers if status != 400 or "\n" in text]
    row = {"request": "bodies that are not requests", "400": sum(status == 400 for status, *_ in answers)}
    found.add({**row, "longest, s": round(max(s for _, s, _ in answers), 1)}, tried=len(answers), faults=faults)


def _leavers(service: Service, found: Findings, *, times: int) -> None:
    """Clients that send a half or a whole request and go, or that keep silent: the next one is answered."""
    body = _row_of({"case": CASE})
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    silent = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(times)]
    for number in range(times):
        with socket.create_connection(("127.0.0.1", service.port)) as client:
            client.sendall((head + body)[: len(head) + (len(body) if number % 2 else len(body) // 2)])
    status, seconds, text = 503, 0.0, ""
    began = time.monotonic()
    while status == 503 and time.monotonic() < began + 2 * DEADLINE:
        status, seconds, text = service.ask(body)
        time.sleep(0.2)
    seconds = time.monotonic() - began
    for client in silent:
        client.close()
    faults = [] if status == 200 else [f"then status {status} after {seconds:.0f} s: {text[:100]}"]
    row = {"request": "clients that disconnect midway or stay silent, then a valid request"}
    found.add({**row, "longest, s": round(seconds, 1)}, tried=2 * times, faults=faults)


DRILLS = {
    "load": Drill(
        "Load on the served model",
        f"`brats-cascade serve` runs with TwoPathCNN, a queue of 4 and a deadline of {DEADLINE:g} s. Faults: no response, more "
        f"than {AT_ONCE:g} s to report a full queue, an unexpected status, a stack trace in a response or in the log, a "
        "server that is slow afterwards or does not end.",
        run_load,
    )
}
