import os

import psutil
import pytest

from brats_cascade.errors import UserError
from brats_cascade.sweep import workers as module
from brats_cascade.sweep.plan import Orders
from brats_cascade.sweep.workers import run_workers


def run_at(root, *, workers, watch, every):
    """Workers without a plan, so that each ends with an error soon after its start."""
    run_workers(Orders("s", "", None, root, 1), environments=[dict(os.environ)] * workers, watch=watch, every=every)


def children():
    return {child.pid for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE}


@pytest.mark.slow
def test_ctrl_c_leaves_no_worker(tmp_path):
    before = children()
    seen = []

    def watch():
        seen.append(children() - before)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_at(tmp_path, workers=2, watch=watch, every=0.01)
    assert len(seen[0]) == 2 and children() <= before


@pytest.mark.slow
def test_when_no_worker_can_work_its_last_words_are_the_error(tmp_path):
    with pytest.raises(UserError, match=r"all workers failed; last error: AttributeError: .*worker-0\.log"):
        run_at(tmp_path, workers=1, watch=lambda: False, every=0.1)
    assert "Traceback" in (tmp_path / ".work/sweep/s/worker-0.log").read_text()


@pytest.mark.parametrize(("ended", "starts"), [(False, 6), (True, 10)])
def test_a_worker_is_started_again_after_kills_as_long_as_trials_end_between_them(tmp_path, monkeypatch, ended, starts):
    """Memory may be too small for many of the trials; only kills between which nothing ends are a worker's own fault."""
    statuses = iter([-9] * 9 + [0])
    started = []

    class Ended:
        def __init__(self):
            self.status = next(statuses)

        def poll(self):
            return self.status

    monkeypatch.setattr(
        module, "_start", lambda orders, *, environment, path: path.touch() or started.append(path) or Ended()
    )
    if ended:
        run_at(tmp_path, workers=1, watch=lambda: True, every=0)
    else:
        with pytest.raises(UserError, match="all workers failed; last error: exit status -9"):
            run_at(tmp_path, workers=1, watch=lambda: False, every=0)
    assert len(started) == starts
