from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory):
    """A function that writes a tiny untrained network as training would, once per set of arguments."""
    from brats_cascade.models.build import build_model
    from brats_cascade.models.files import Contract, save_trained
    from brats_cascade.models.two_path import Style

    made: dict[tuple, Path] = {}

    def make(*, seed: int = 0, classes=(0, 1, 2, 3, 4), modalities=("flair", "t1", "t1c", "t2"), clip=0.01) -> Path:
        key = (seed, classes, modalities, clip)
        if key not in made:
            style = Style(width=0.04)
            network = build_model("two_path", modalities=len(modalities), classes=len(classes), style=style)
            rng = np.random.default_rng(seed)
            for weight in network.trainable_variables:
                weight.assign(rng.normal(0, 0.05, weight.shape))
            folder = tmp_path_factory.mktemp("models") / "net"
            save_trained(folder, network=network, contract=Contract("two_path", classes, modalities, clip, style, None))
            made[key] = folder
        return made[key]

    return make
