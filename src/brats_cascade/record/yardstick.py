"""The paper's networks beside a plain U-Net of today: by how much, per region and per second."""

from collections.abc import Sequence

from brats_cascade.evaluation.paired import in_short, paired_difference
from brats_cascade.labels import REGIONS
from brats_cascade.record.results import Result
from brats_cascade.record.tables import markdown


def yardstick_lines(results: Sequence[Result]) -> list[str]:
    """Each U-Net against each of the others, on the same patients.

    Args:
        results: The experiments.

    Returns:
        Markdown; empty without a U-Net or without another network.
    """
    yards = [one for one in results if one.architecture == "unet"]
    others = [one for one in results if one.architecture != "unet"]
    if not yards or not others:
        return []
    head = ["", "minus", *(f"Dice {region}" for region in REGIONS), "training", "labelled pixels", "a case"]
    rows = [head]
    for one in others:
        for yard in yards:
            differences = [paired_difference(one.cases, yard.cases, region=region) for region in REGIONS]
            rows.append(
                [
                    one.name,
                    yard.name,
                    *map(in_short, differences),
                    f"{one.training / 60:.1f} : {yard.training / 60:.1f} min",
                    f"{one.pixels / 1e6:.1f} : {yard.pixels / 1e6:.1f} M",
                    f"{one.prediction:.1f} : {yard.prediction:.1f} s",
                ]
            )
    return [
        "A plain 2-D U-Net, trained, cleaned and scored by the same code on the same patients. Paired differences of the Dice; "
        "above 0 the paper's network is better. With fewer than six patients there is no test, and an interval of three says "
        "little.",
        "",
        *markdown(rows),
    ]
