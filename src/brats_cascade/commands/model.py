"""Opens models by folder, file or MLflow URI, with the post-processing that was chosen for them."""

import sys
from collections.abc import Sequence
from pathlib import Path

from brats_cascade.errors import UserError, one_line
from brats_cascade.inference.chosen import Chosen, read_chosen
from brats_cascade.inference.segment import Member, check_members
from brats_cascade.models.files import CONTRACT
from brats_cascade.models.fold import load_for_inference

SCHEMES = ("models:/", "runs:/")


def open_models(references: Sequence[str], *, precision: str) -> tuple[list[Member], Chosen | None]:
    """Opens trained networks, each given as a folder models/EXPERIMENT, the model.keras in it, or an MLflow URI.

    Returns:
        The networks, and how the first one was evaluated; None if there is no record of it.
    """
    opened = [_open(reference, precision=precision) for reference in references]
    members = [member for member, _ in opened]
    check_members(members)
    return members, opened[0][1]


def champion() -> str:
    """The URI of the registered champion, for a prediction without --model; prints the experiment to stderr."""
    from mlflow import MlflowClient

    from brats_cascade.tracking.champion import contest
    from brats_cascade.tracking.champion import cure as registering
    from brats_cascade.tracking.registry import ALIAS, NAME
    from brats_cascade.tracking.store import project_root, tracking_uri

    reference, cure = f"models:/{NAME}@{ALIAS}", "give --model models/EXPERIMENT"
    try:
        _check_store(reference)
        version = MlflowClient(tracking_uri=tracking_uri()).get_model_version_by_alias(NAME, ALIAS)
    except UserError:
        raise UserError(f"no --model given, and no MLflow database here to look up the champion; {cure}") from None
    except Exception as error:
        raise UserError(
            f"no --model given, and MLflow at {tracking_uri()} names no champion ({one_line(error)}); {cure}, or run "
            "`dvc repro`, which registers it"
        ) from None
    name = version.tags.get("experiment", "unknown")
    print(f"model {reference}: experiment {name}, version {version.version}", file=sys.stderr)
    best = contest(project_root(), experiments=[]).champion
    if best is not None and best.run_id != version.run_id:
        print(
            f"warning: not the best finished run on this data and split, which is {best.experiment} ({best.dice:.3f}, run "
            f"{best.run_id}); to register that one: {registering(best)}",
            file=sys.stderr,
        )
    return reference


def _open(reference: str, *, precision: str) -> tuple[Member, Chosen | None]:
    if not reference.startswith(SCHEMES):
        path = Path(reference)
        if not path.exists():
            raise UserError(
                f"--model {reference}: no such file or folder, and not an MLflow URI ({', '.join(SCHEMES)}...); "
                "after `dvc repro`, models/ has one folder per experiment"
            )
        folder = path if path.is_dir() else path.parent
        return Member(*load_for_inference(path, precision=precision)), read_chosen(folder.resolve())
    from brats_cascade.tracking.model import fetch_folder

    _check_store(reference)
    fetched = fetch_folder(reference, holding=CONTRACT)
    if fetched is None:
        raise UserError(f"--model {reference}: not logged by this project; expected a model with {CONTRACT} in it")
    return Member(*load_for_inference(fetched, precision=precision)), read_chosen(fetched)


def _check_store(reference: str) -> None:
    """Raises an error if there is no local MLflow database; MLflow would create an empty one."""
    from brats_cascade.tracking.store import tracking_uri

    uri = tracking_uri()
    database = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not database.is_file():
        raise UserError(
            f"--model {reference}: no MLflow database at {database}; run this in the project's root, set "
            "MLFLOW_TRACKING_URI, or give a folder models/EXPERIMENT"
        )
