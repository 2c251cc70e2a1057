import os

import psutil
import pytest

from brats_cascade.errors import UserError
from brats_cascade.sweep.crew import Crew


def crew_at(folder, *, workers):
    """Workers whose orders are incomplete, so that each ends with an error soon after its start."""
    return Crew({"plan": {}}, environments=[dict(os.environ)] * workers, folder=folder)


def children():
    return {child.pid for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE}


def test_ctrl_c_leaves_no_worker(tmp_path):
    before = children()
    seen = []

    def watch():
        seen.append(children() - before)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crew_at(tmp_path, workers=2).run(watch=watch, every=0.01)
    assert len(seen[0]) == 2 and children() <= before


def test_when_no_worker_can_work_its_last_words_are_the_error(tmp_path):
    with pytest.raises(
        UserError, match=r"every worker ended early; the last one said: KeyError: 'entry' .*worker-0\.log"
    ):
        crew_at(tmp_path, workers=1).run(watch=lambda: None, every=0.1)
    assert "Traceback" in (tmp_path / "worker-0.log").read_text()
