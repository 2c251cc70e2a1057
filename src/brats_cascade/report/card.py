"""Descriptions of trained networks: the note on an MLflow run, and model and data cards."""

from collections.abc import Mapping
from typing import Any

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
    record: Mapping[str, Any],
    *,
    summary: Mapping[str, Any],
    contract: Mapping[str, Any],
    sets: Mapping[str, int],
    phantom: bool,
) -> str:
    """The card of a registered model, Markdown, from `costs.read_facts` with `run_id`, metrics/E/summary.json and model.json.

    `sets` are the numbers of training, validation and test cases; `phantom`: it was trained on the built-in synthetic cohort.
    """
    labels = class_names(contract["classes"])
    return _render(
        "card.md.j2", record=record, summary=summary, contract=contract, labels=labels, sets=sets, phantom=phantom
    )


def front_matter(record: Mapping[str, Any], *, summary: Mapping[str, Any], phantom: bool) -> str:
    """The Hugging Face front matter of a model's README.md: licence, task, test scores; arguments as in `model_card`."""
    return _render("front.yaml.j2", record=record, summary=summary, phantom=phantom)


def data_card(found: Mapping[str, Any], *, name: str, sets: Mapping[str, int], excluded: int, phantom: bool) -> str:
    """The card of a cohort, Markdown with the front matter of a Hugging Face data set.

    `found` is data/fingerprint.json; `sets` and `excluded` are the numbers of cases in each set and of excluded cases.
    """
    context = {"found": found, "name": name, "sets": sets, "excluded": excluded, "phantom": phantom}
    return render("data_card.md.j2", not_a_device=NOT_A_DEVICE, **context).lstrip()


def _render(template: str, *, summary: Mapping[str, Any], **context: Any) -> str:
    rule = Thresholds(**summary["postprocess"])
    return render(template, summary=summary, rule=rule, regions=REGIONS, not_a_device=NOT_A_DEVICE, **context)
