"""More cases may be open at once than a system grants at first."""

import resource

import numpy as np
from limits import limited

from brats_cascade import backend
from brats_cascade.data.store import open_case, write_case


def test_a_training_may_open_more_cases_than_the_system_grants_at_first(tmp_path) -> None:
    arrays = {"image": np.zeros((1, 1, 1, 4)), "brain": np.ones((1, 1, 1)), "labels": np.ones((1, 1, 1))}
    write_case(tmp_path, name="A", meta={}, **arrays)
    with limited(resource.RLIMIT_NOFILE, 300):
        backend._allow_open_files()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert soft == hard
        opened = [open_case(tmp_path / "A") for _ in range(150)]
    assert len(opened) == 150
