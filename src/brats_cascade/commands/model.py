"""Models by folder, file or MLflow URI, and the post-processing that was chosen for them."""

from collections.abc import Sequence
from pathlib import Path

from brats_cascade.errors import UserError
from brats_cascade.inference.chosen import read_rule
from brats_cascade.inference.postprocess import Rule
from brats_cascade.inference.segment import Member, check_members
from brats_cascade.models.files import CONTRACT, Contract
from brats_cascade.models.fold import for_inference, load_for_inference

SCHEMES = ("models:/", "runs:/")


def open_models(references: Sequence[str], *, precision: str) -> tuple[list[Member], Rule | None]:
    """Opens trained networks.

    Args:
        references: Each a folder models/EXPERIMENT, the model.keras in it, or an MLflow URI.
        precision: "float32" or "bfloat16" to compute in.

    Returns:
        The networks, and the rule that evaluation chose for the first one; None where there is no record of it.

    Raises:
        UserError: There is no such model, it is none of ours, or they do not fit one another.
    """
    opened = [_open(reference, precision=precision) for reference in references]
    members = [member for member, _ in opened]
    check_members(members)
    return members, opened[0][1]


def _open(reference: str, *, precision: str) -> tuple[Member, Rule | None]:
    if not reference.startswith(SCHEMES):
        path = Path(reference)
        if not path.exists():
            raise UserError(
                f"--model {reference}: no such folder or file, and no MLflow URI ({', '.join(SCHEMES)}...); "
                "after `dvc repro` models/ holds one folder per experiment"
            )
        folder = path if path.is_dir() else path.parent
        return Member(*load_for_inference(path, precision=precision)), read_rule(folder.resolve())
    from brats_cascade.tracking.model import fetch_folder, load_model, model_metadata

    fetched = fetch_folder(reference, holding=CONTRACT)
    if fetched is not None:
        return Member(*load_for_inference(fetched, precision=precision)), read_rule(fetched)
    network = load_model(reference)
    try:
        contract = Contract.from_dict(model_metadata(reference))
    except (KeyError, TypeError) as error:
        raise UserError(
            f"--model {reference}: not logged by this project ({error}); expected its classes and style"
        ) from None
    return Member(for_inference(network, contract=contract, precision=precision), contract), None
