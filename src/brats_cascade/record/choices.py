"""What each choice brings: experiments that differ in one setting, patient by patient."""

from collections.abc import Sequence

from brats_cascade.evaluation.ablation import Experiment, answers, tumour_calls
from brats_cascade.record.results import Result


def choice_lines(results: Sequence[Result]) -> list[str]:
    """A question for each setting in which two experiments differ alone, with a sentence a pair.

    Args:
        results: The experiments.

    Returns:
        Markdown; empty where no two experiments can be compared so.
    """
    known = [Experiment.of(one.name, run=one.run, cases=one.cases) for one in results]
    lines = []
    for answer in answers(known):
        lines += [f"**{answer['question']}**", "", *(f"- {line}" for line in answer["lines"]), ""]
    calls = tumour_calls(known)
    if calls:
        question = "Without class weights or normalisation, does a network always answer non-tumour?"
        lines += [f"**{question}**", "", *(f"- {line}" for line in calls), ""]
    return lines[:-1]
