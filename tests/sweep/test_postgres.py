"""Many processes on a real PostgreSQL server, started for the test on loopback; skipped where there is none."""

import importlib.util
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from processes import unmeasured

from brats_cascade import tracking
from brats_cascade.params import load_params
from brats_cascade.sweep.objective import Objective, Outcome
from brats_cascade.sweep.plan import Orders, plan_of
from brats_cascade.sweep.storage import open_storage
from brats_cascade.sweep.study import make_study, open_study
from brats_cascade.sweep.trials import counted
from brats_cascade.training.batches import TrainingData

pytestmark = [pytest.mark.slow, pytest.mark.long]
ACCOUNT = "postgres"  # the server refuses to run as root


def programs() -> Path | None:
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    return next((path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)), None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def server(tmp_path):
    """Address of a new, empty database."""
    bin_folder = programs()
    if bin_folder is None:
        pytest.skip("no PostgreSQL server here (Debian: apt-get install postgresql)")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("no PostgreSQL driver here (pip install 'brats-cascade[postgres]')")
    as_user = {"user": ACCOUNT, "group": ACCOUNT, "extra_groups": []} if os.geteuid() == 0 else {}
    port = free_port()
    folder = Path("/tmp" if as_user else tmp_path) / f"brats-cascade-postgres-{os.getpid()}"
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c fsync=off"
    subprocess.run(["mkdir", "-m", "700", folder], check=True, cwd="/", **as_user)
    try:
        quiet = {"check": True, "capture_output": True, "cwd": "/", **as_user}
        initialise = [bin_folder / "initdb", "-D", folder / "db", "-U", "sweeper", "--auth=trust"]
        subprocess.run(initialise, **quiet)
        control = [bin_folder / "pg_ctl", "-D", folder / "db", "-w", "-l", folder / "log"]
        subprocess.run([*control, "-o", options, "start"], check=True, stdout=subprocess.DEVNULL, cwd="/", **as_user)
        try:
            yield f"postgresql://sweeper@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], **quiet)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def member(url: str, root: Path, index: int, stuck: bool) -> None:
    """A process of a sweep whose trainings take a moment; a stuck one never ends its first."""
    from brats_cascade.sweep import worker

    os.environ["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:1"  # no tracking here
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"

    def train(plan, settings, *, folder, on_check, **_):
        (root / f"begun-{index}").touch()
        time.sleep(600 if stuck else 0.2)
        on_check([{"phase": 1, "check": 1, "step": 1, "validation_complete": 0.5}])
        return Outcome(1 - settings.learning_rate, {"b": 0.5}, 0.2, 10, 10)

    plan = plan_of(load_params(root / "params.yaml"))
    storage = open_storage(url, heartbeat=plan.sweep.heartbeat, retries=2)
    study = open_study("s", storage=storage, plan=plan)
    data = TrainingData([], [], {}, (0, 4))
    own = root / f"host-{index}"  # as on hosts that share the study and nothing else
    worker.run_trials(study, Objective(Orders("s", url, plan, own, trials=12), data, train=train))


def test_processes_share_a_study_and_a_lost_trial_is_tried_again(server, make_project):
    root = make_project()
    plan, storage = plan_of(load_params(root / "params.yaml")), open_storage(server, heartbeat=1)
    study, _ = make_study("s", storage=storage, plan=plan)
    context = multiprocessing.get_context("spawn")
    crew = [context.Process(target=member, args=(server, root, index, index == 0)) for index in range(3)]
    try:
        crew[0].start()
        ends = time.monotonic() + 120
        while not (root / "begun-0").exists():
            assert time.monotonic() < ends
            time.sleep(0.05)
        for process in crew[1:]:
            process.start()
        crew[0].kill()
        for process in crew:
            process.join(180)
        assert [process.exitcode for process in crew] == [-9, 0, 0]
    finally:
        for process in crew:
            if process.is_alive():
                process.kill()
    trials = study.trials
    storage.remove_session()  # the driver warns of connections that nobody closed, whenever the collector finds them
    storage.engine.dispose()
    done = counted(trials)
    assert {trial.state.name for trial in done} == {"COMPLETE"}
    assert len(done) in (
        12,
        13,
    )  # these two look for work in different folders, as on two hosts, so both may take the last
    assert trials[0].state.name == "FAIL"
    again = next(trial for trial in done if trial.system_attrs.get("retry_history") == [0])
    assert again.params == trials[0].params
    assert len({trial.user_attrs["process"] for trial in done}) == 2


def test_an_mlflow_server_keeps_runs_in_postgresql_and_files_elsewhere(server, tmp_path, monkeypatch):
    """The command of docs/distributed.md, on one machine."""
    import psycopg

    address = f"http://127.0.0.1:{free_port()}"
    database, files, project = server.replace("://", "+psycopg://", 1), tmp_path / "files", tmp_path / "project"
    places = ["--backend-store-uri", database, "--artifacts-destination", str(files)]
    words = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        *places,
        "--host",
        "127.0.0.1",
        "--port",
        address.rpartition(":")[2],
    ]
    serving = unmeasured(MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
    project.mkdir()
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*words, "--workers", "1"], cwd=tmp_path, env=serving, stdout=log, stderr=log)
    try:
        ends = time.monotonic() + 240
        while not answers(f"{address}/health"):
            assert process.poll() is None and time.monotonic() < ends, (tmp_path / "log").read_text()
            time.sleep(0.2)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        with tracking.start_run("E", root=project, finish=True) as run:
            run.log_scores({"dice": 0.5})
            run.log_file(Path(__file__), folder="figures")
        assert run.online
    finally:
        process.terminate()
        process.wait(60)
    with psycopg.connect(server) as connection:
        found = connection.execute("select run_uuid, value from latest_metrics where key = 'test/dice'").fetchall()
    assert found == [(run.id, 0.5)]
    assert [path.parent.name for path in files.rglob(Path(__file__).name)] == ["figures"]
    assert list(project.iterdir()) == []  # nothing of MLflow stays on the host that trains


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as reply:
            return reply.status == 200
    except OSError:
        return False
