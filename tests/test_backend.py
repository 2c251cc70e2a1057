"""Starting Keras: packages that nothing here needs are kept out, and only while it starts."""

import json
import os
import subprocess
import sys

CODE = """
import json, sys
from brats_cascade.backend import NOT_NEEDED, start_backend
start_backend()
kept_out = [name for name in NOT_NEEDED if name not in sys.modules]
import keras, sklearn
print(json.dumps([kept_out, keras.backend.backend(), float(keras.ops.sum(keras.ops.ones(3))), sklearn.__name__]))
"""


def test_packages_that_nothing_needs_are_not_imported_at_the_start_and_can_be_later() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [["jax", "sklearn"], "tensorflow", 3.0, "sklearn"]
    assert done.stderr == ""
