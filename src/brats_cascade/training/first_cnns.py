"""The CNN 1s of a frozen cascade: the given one or one trained within, and those of inner folds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from brats_cascade.models.cascade import Cnn1
from brats_cascade.params.train import TrainParams
from brats_cascade.shared import in_use
from brats_cascade.training.batches import TrainingData
from brats_cascade.training.fingerprint import fingerprint
from brats_cascade.training.inner_folds import cnn1_settings, inner_folds
from brats_cascade.training.phases import LIMIT
from brats_cascade.training.progress import Progress
from brats_cascade.training.settings import style_of
from brats_cascade.training.trained import Trained


@dataclass(frozen=True)
class FirstCnns:
    """What comes before a CNN 2.

    Attributes:
        cnn1: The one that is kept; it makes the maps of validation cases.
        within: Its training, if it was not given.
        folds: Names of training cases, and the training of the CNN 1 that makes their maps, which has not seen them.
    """

    cnn1: Cnn1 | None
    within: Trained | None = None
    folds: Sequence[tuple[tuple[str, ...], Trained]] = ()

    @property
    def inner(self) -> list[tuple[tuple[str, ...], Cnn1]]:
        """Names of training cases, and the CNN 1 that makes their maps."""
        return [(cases, Cnn1(own.network, own.style)) for cases, own in self.folds]

    @property
    def trainings(self) -> list[Trained]:
        """All of them."""
        return [*([self.within] if self.within else []), *(own for _, own in self.folds)]

    @property
    def progress(self) -> tuple[Progress | None, list[Progress]]:
        """Of the CNN 1 that was trained within, and of those of the folds."""
        return self.within.progress if self.within else None, [own.progress for _, own in self.folds]


def train_first_cnns(
    train: Callable[..., Trained],
    *,
    architecture: str,
    data: TrainingData,
    settings: TrainParams,
    cnn1: Cnn1 | None,
    folder: Path,
    shared: Path | None,
) -> FirstCnns:
    """Trains what a frozen cascade needs before its CNN 2; what is finished is not trained again.

    The inner CNN 1s are trained as the kept one was, where that is known. Each has a folder of its own, named after all that
    decides its outcome, where other trainings find it.

    Args:
        train: `train_experiment` of CNN 1, which takes data, settings and folder.
        architecture: CNN 1's.
        data: What the cascade is trained on.
        settings: Of the cascade.
        cnn1: The given one, or None.
        folder: For the checkpoints.
        shared: For what trainings share; None keeps it in `folder`.

    Returns:
        The CNN 1s.
    """
    within = None
    if cnn1 is None:
        within = train(data=data, settings=settings, folder=folder / "cnn1")
        cnn1 = Cnn1(within.network, style_of(settings), settings)
    if not settings.cnn1_folds:
        return FirstCnns(cnn1, within)
    own, place, found = cnn1_settings(cnn1.settings or settings), (shared or folder) / "inner_cnn1", []
    for fold in inner_folds(data, folds=settings.cnn1_folds, seed=settings.seed):
        path = place / fingerprint(architecture, data=fold.data, settings=own, cnn1=None)[:32]
        with in_use(path, limit=LIMIT):
            found.append((fold.cases, train(data=fold.data, settings=own, folder=path)))
    return FirstCnns(cnn1, within, found)
