"""Descriptions of trained networks: the note on an MLflow run, and model and data cards."""

from collections.abc import Mapping
from typing import Any

from brats_cascade import PHANTOM
from brats_cascade.inference.postprocess import Thresholds
from brats_cascade.labels import REGIONS
from brats_cascade.report.render import class_names, render

NOT_A_DEVICE = (
    "**Not a medical device.** Research software: not for diagnosis, treatment or any decision about a patient."
)


def run_note(record: Mapping[str, Any], *, summary: Mapping[str, Any]) -> str:
    """A run's description in MLflow, a small table of scores, from `costs.read_facts` and metrics/E/summary.json."""
    return _render("note.md.j2", record=record, summary=summary).strip()


def model_card(
    record: Mapping[str, Any], *, summary: Mapping[str, Any], contract: Mapping[str, Any], sets: Mapping[str, int]
) -> str:
    """The card of a registered model, Markdown, from `costs.read_facts` with `run_id`, metrics/E/summary.json and model.json.

    `sets` are the numbers of training, validation and test cases.
    """
    labels = class_names(contract["classes"])
    return _render("card.md.j2", record=record, summary=summary, contract=contract, labels=labels, sets=sets)


def front_matter(record: Mapping[str, Any], *, summary: Mapping[str, Any]) -> str:
    """The Hugging Face front matter of a model's README.md: licence, task, test scores; arguments as in `model_card`."""
    return _render("front.yaml.j2", record=record, summary=summary)


def data_card(found: Mapping[str, Any], *, name: str, sets: Mapping[str, int], excluded: int) -> str:
    """The card of a cohort, Markdown with the front matter of a Hugging Face data set.

    `found` is data/fingerprint.json; `sets` and `excluded` are the numbers of cases in each set and of excluded cases.
    """
    context = {"found": found, "name": name, "sets": sets, "excluded": excluded, "phantom": is_phantom(found)}
    return render("data_card.md.j2", not_a_device=NOT_A_DEVICE, **context).lstrip()


def is_phantom(found: Mapping[str, Any]) -> bool:
    """Whether a cohort, given data/fingerprint.json, is synthetic, wherever it lies."""
    return set(found["releases"]) == {PHANTOM}


def _render(template: str, *, record: Mapping[str, Any], summary: Mapping[str, Any], **context: Any) -> str:
    known = {"rule": Thresholds(**summary["postprocess"]), "phantom": record.get("release") == PHANTOM}
    known |= {"regions": REGIONS, "not_a_device": NOT_A_DEVICE}
    return render(template, record=record, summary=summary, **known, **context)
