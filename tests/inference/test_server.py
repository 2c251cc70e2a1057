"""The HTTP server: requests come from anywhere, and many at once."""

import base64
import gc
import gzip
import http.client
import json
import os
import re
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import uvicorn

from brats_cascade.commands import serve
from brats_cascade.errors import UserError
from brats_cascade.inference import requests
from brats_cascade.inference.requests import answer_row
from brats_cascade.inference.server import Server


@contextmanager
def serving(app):
    """The port of a server that runs in a thread."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def ask(port, body, *, path="/invocations"):
    """Status, headers and text of one answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    text = body if isinstance(body, str) else json.dumps({"dataframe_records": [body]})
    connection.request("GET" if path != "/invocations" else "POST", path, text)
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read().decode()
    connection.close()
    return found


class Held:
    """Answers once it is let go, and remembers what it was asked."""

    def __init__(self):
        self.go, self.asked = threading.Event(), []

    def __call__(self, row, *, number):
        self.asked.append(row["case"])
        assert self.go.wait(20)
        return row


def test_a_full_queue_is_told_at_once_and_those_inside_are_answered() -> None:
    held = Held()
    with serving(Server(held, waiting=2, deadline=20).app()) as port, ThreadPoolExecutor(40) as crowd:
        jobs = [crowd.submit(ask, port, {"case": "A"}) for _ in range(40)]
        limit = time.monotonic() + 10
        while sum(job.done() for job in jobs) < 37:
            assert time.monotonic() < limit  # nothing is computed yet: the others are answered all the same
            time.sleep(0.01)
        held.go.set()
        answers = [job.result() for job in jobs]
        assert Counter(status for status, *_ in answers) == {503: 37, 200: 3}
        assert all(int(headers["retry-after"]) > 0 for status, headers, _ in answers if status == 503)
        assert ask(port, {"case": "B"})[0] == 200


def test_after_the_deadline_what_waits_is_dropped_and_a_stuck_server_says_so() -> None:
    held = Held()
    with serving(Server(held, waiting=2, deadline=0.5).app()) as port, ThreadPoolExecutor(3) as crowd:
        answers = list(crowd.map(lambda name: ask(port, {"case": name}), "ABC"))
        assert [(status, json.loads(text)) for status, _, text in answers] == [
            (504, {"error": "not done within 0.5 s"})
        ] * 3
        assert ask(port, "", path="/ping")[0] == 503
        held.go.set()
        while ask(port, "", path="/ping")[0] != 200:
            time.sleep(0.01)
        assert len(held.asked) == 1  # the other two never began
        assert ask(port, {"case": "D"})[0] == 200


def test_what_fails_after_its_deadline_or_after_the_server_leaves_nothing_in_the_log(caplog) -> None:
    held = Held()

    def fails(row, *, number):
        held(row, number=number)
        raise UserError(f"{row['case']}: no such case")

    server = Server(fails, waiting=0, deadline=0.2)
    with serving(server.app()) as port:
        assert ask(port, {"case": "A"})[0] == 504
        held.go.set()
        while ask(port, "", path="/ping")[0] != 200:
            time.sleep(0.01)
        gc.collect()  # asyncio logs an error that nobody has looked at once its future is gone
        held.go.clear()
        assert ask(port, {"case": "B"})[0] == 504
    held.go.set()
    server._pool.shutdown(wait=True)
    assert held.asked == ["A", "B"] and not [record.getMessage() for record in caplog.records]


def test_a_client_that_leaves_is_dropped() -> None:
    held = Held()
    with serving(Server(held, waiting=1, deadline=20).app()) as port, ThreadPoolExecutor(1) as crowd:
        first = crowd.submit(ask, port, {"case": "A"})
        while not held.asked:
            time.sleep(0.01)
        body = json.dumps({"dataframe_records": [{"case": "B"}]}).encode()
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            while ask(port, {"case": "C"})[0] != 503:  # B has its place
                time.sleep(0.01)
        time.sleep(0.2)
        held.go.set()
        assert first.result()[0] == 200
        assert ask(port, {"case": "D"})[0] == 200
    assert "B" not in held.asked


def test_errors_are_one_line_without_a_stack_trace() -> None:
    def answer(row, *, number):
        raise UserError("no such\ncase") if row["case"] == "user" else ZeroDivisionError("a secret")

    with serving(Server(answer, waiting=1, deadline=20, largest=5000).app()) as port:
        answers = [
            ask(port, body)
            for body in (
                *({"case": "user"}, {"case": "bug"}, "", "[1]", '{"dataframe_records": {}}', "[" * 4000, "x" * 6000),
            )
        ]
        page = ask(port, "", path="/docs")[2]
    assert [status for status, *_ in answers] == [400, 500, 400, 400, 400, 400, 400]
    for _, _, text in answers:
        assert list(json.loads(text)) == ["error"] and "\n" not in text and "Traceback" not in text
    assert json.loads(answers[0][2])["error"] == "no such case"
    assert "secret" not in answers[1][2] and "5000 bytes" in answers[-1][2]
    assert '"case"' in page and '"image"' in page and "//" not in re.sub(r"<!DOCTYPE.*?>", "", page)


def test_no_file_is_read_outside_the_servers_folder(tmp_path, write_nifti_case, monkeypatch) -> None:
    root, other = tmp_path / "root", write_nifti_case(tmp_path / "other", "B")
    inside = write_nifti_case(root, "A", omit=("t2",))
    (inside / "A_t2.nii.gz").symlink_to(other / "B_t2.nii.gz")
    (root / "link").symlink_to(other)
    (root / "listed").mkdir()
    row = dict.fromkeys(("flair", "t1", "t1c", "t2"), str(other / "B_t1.nii.gz")) | {"case": "x", "labels": "five"}
    (root / "listed" / "cases.json").write_text(json.dumps([row]))
    pipes = write_nifti_case(root, "P", omit=("t1",))
    os.mkfifo(pipes / "P_t1.nii.gz")
    given = {"members": [], "chosen": None, "number": 0}
    said = set()
    beside = ("../other/B", "link", "listed", "listed/cases.json", "A", "P", "/", "..", "gone", "x\0", "x" * 300)
    for name in (str(other), *beside):
        with pytest.raises(UserError) as caught:
            answer_row({"case": name}, root=root, **given)
        said.add(str(caught.value).partition(": ")[2])
    assert len(said) == 1 and "below the server's folder of cases" in said.pop()
    (root / "disk").symlink_to("/")
    monkeypatch.setattr(requests, "find_cases", lambda folder: pytest.fail(f"{folder} was searched"))
    for name in (".", "disk/..", "listed/.."):  # a search would walk through the link
        with pytest.raises(UserError, match="below the server's folder of cases"):
            answer_row({"case": name}, root=root, **given)
    with pytest.raises(UserError, match="this server reads no files"):
        answer_row({"case": str(other)}, root=None, **given)
    with pytest.raises(UserError, match="at most 512 voxels"):
        answer_row({"image": [[[[0, 0, 0, 0]] * 513]]}, root=None, members=[None], chosen=None, number=0)


def test_the_command_serves_a_network(tmp_path, trained, write_nifti_case, monkeypatch) -> None:
    write_nifti_case(tmp_path / "HGG", "Brats18_A_1")
    apps = []
    monkeypatch.setattr(uvicorn, "run", lambda app, **options: apps.append((app, options["host"])))
    serve.run(model=str(trained()), cases=tmp_path)
    [(app, host)] = apps
    assert host == "127.0.0.1"
    with serving(app) as port:
        status, _, text = ask(port, {"case": "HGG/Brats18_A_1"})
    [answer] = json.loads(text)["predictions"]
    assert (status, answer["case"]) == (200, "Brats18_A_1")
    assert gzip.decompress(base64.b64decode(answer["segmentation"]))[344:347] == b"n+1"
    with pytest.raises(UserError, match="expected a folder of cases"):
        serve.run(cases=tmp_path / "gone")
