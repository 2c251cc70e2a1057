"""The rules of the data check for rows of the per-case table, each one a built-in expectation of Great Expectations.

A reason is a format string over the row; it states what is wrong and the fix, without the case's name.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from brats_cascade import MODALITIES
from brats_cascade.data.facts import SPACINGS

BRAIN_FRACTION = (0.01, 0.9)  # share of the volume's voxels
POSSIBLE_SPACING = (0.3, 5.0)  # mm
SPREAD = 0.2  # relative difference from the cohort's spacing that is allowed
LARGEST_INTENSITY = 1e6  # scanners write 16-bit integers; larger values indicate a wrong scale factor or byte order
LARGEST_TUMOUR = 600.0  # cm3
TUMOUR_OUTSIDE = 0.01  # share of the tumour's voxels that may lie outside the brain
NO_TRUTH = "no ground truth: can be segmented, but not used for training"
NO_ENHANCING = "its ground truth does not mark enhancing tumour: can be segmented and scored, but not used for training"

_SPACING = "spacing {spacing_slice:.3g} x {spacing_row:.3g} x {spacing_column:.3g} mm (slice, row, column)"

Row = Mapping[Any, Any]
Severity = Literal["critical", "warning"]
Spacing = tuple[float, float, float]


@dataclass(frozen=True)
class Rule:
    """One expectation.

    Attributes:
        expectation: Name of the class in great_expectations.expectations.
        arguments: Arguments of that class, including the column.
        text: Description in the data docs.
        reason: Why a row breaks the rule, a format string.
        severity: "critical" excludes the case, "warning" keeps it.
    """

    expectation: str
    arguments: Mapping[str, Any]
    text: str
    reason: str
    severity: Severity = "critical"

    def broken_by(self, row: Row) -> bool:
        """Whether a row breaks the rule; a test compares this with Great Expectations."""
        given = self.arguments
        if self.expectation == "ExpectColumnValuesToBeInSet":
            return row[given["column"]] not in given["value_set"]
        if self.expectation == "ExpectColumnValuesToNotBeNull":
            return math.isnan(row[given["column"]])
        if self.expectation == "ExpectColumnPairValuesAToBeGreaterThanB":
            return row[given["column_A"]] <= row[given["column_B"]]  # NaN means unknown and passes
        if self.expectation == "ExpectColumnValuesToBeBetween":
            value = row[given["column"]]
            low, high = given.get("min_value", -math.inf), given.get("max_value", math.inf)
            return value < low or value > high or (given.get("strict_min", False) and value == low)
        raise NotImplementedError(self.expectation)


def _equals(column: str, value: str, *, text: str, reason: str, severity: Severity = "critical") -> Rule:
    return Rule("ExpectColumnValuesToBeInSet", {"column": column, "value_set": [value]}, text, reason, severity)


def _between(column: str, *, text: str, reason: str, severity: Severity = "critical", **limits: float) -> Rule:
    """Requires a number between `min_value` and `max_value`; an unknown number passes."""
    return Rule("ExpectColumnValuesToBeBetween", {"column": column, **limits}, text, reason, severity)


def _of_intensities(name: str) -> tuple[Rule, ...]:
    extent = f"{name} runs from {{{name}_min:.4g}} to {{{name}_max:.4g}}, expected within +-{LARGEST_INTENSITY:g}"
    return (
        _between(
            f"{name}_std",
            min_value=0,
            strict_min=True,
            text=f"{name} varies inside the brain.",
            reason=f"{name} is constant inside the brain: replace that file",
        ),
        *(
            _between(
                f"{name}_{end}",
                min_value=-LARGEST_INTENSITY,
                max_value=LARGEST_INTENSITY,
                text=f"{name}'s intensities lie within +-{LARGEST_INTENSITY:g}.",
                reason=f"{extent}: check its scale factor and byte order",
            )
            for end in ("min", "max")
        ),
        Rule(
            "ExpectColumnPairValuesAToBeGreaterThanB",
            {"column_A": f"{name}_p99", "column_B": f"{name}_p01", "or_equal": False},
            f"{name}'s 99th percentile exceeds its 1st.",
            f"98 % of {name} inside the brain is one value, {{{name}_p50:.4g}}: check that file",
            "warning",
        ),
    )


_BRAIN = f"{BRAIN_FRACTION[0]:.0%} to {BRAIN_FRACTION[1]:.0%}"
SCAN_RULES = (
    _equals("problem", "", text="Every file of the case can be read.", reason="{problem}"),
    _equals(
        "modalities",
        ",".join(MODALITIES),
        text=f"The case has the four modalities {','.join(MODALITIES)}.",
        reason=f"modalities {{modalities}}, expected {','.join(MODALITIES)}: add the missing file",
    ),
    _equals(
        "same_grid",
        "yes",
        text="All volumes of the case share one shape and one affine.",
        reason="its volumes differ in shape or affine: resample them to one grid",
    ),
    _equals("finite", "yes", text="No volume holds NaN or Inf.", reason="a volume holds NaN or Inf: export it again"),
    Rule(
        "ExpectColumnValuesToNotBeNull",
        {"column": "brain_fraction"},
        "The share of the brain in the volume is known.",
        "its brain could not be measured: run the ingest stage again",
    ),
    _between(
        "brain_fraction",
        min_value=BRAIN_FRACTION[0],
        max_value=BRAIN_FRACTION[1],
        text=f"The brain fills {_BRAIN} of the volume.",
        reason=f"the brain fills {{brain_fraction:.1%}} of the volume, expected {_BRAIN}: check that the images are "
        "skull-stripped and not empty",
    ),
    *(rule for name in MODALITIES for rule in _of_intensities(name)),
    *(
        _between(
            column,
            min_value=POSSIBLE_SPACING[0],
            max_value=POSSIBLE_SPACING[1],
            text=f"{column} is possible for an MR volume.",
            reason=f"{_SPACING}, expected {POSSIBLE_SPACING[0]} to {POSSIBLE_SPACING[1]}: correct the header or resample",
        )
        for column in SPACINGS
    ),
)
TRUTH_RULES = (
    _equals(
        "unknown_labels",
        "",
        text="The ground truth holds only labels that the release knows.",
        reason="its ground truth contains the labels {unknown_labels}, unknown to the scheme {scheme!r}: correct the ground "
        "truth, or name the case in a listing with another scheme",
    ),
    _equals("has_truth", "yes", text="The case has a ground truth (training needs one).", reason=NO_TRUTH),
    _equals(
        "regions", "all", text="The ground truth tells all regions apart (training needs that).", reason=NO_ENHANCING
    ),
    _between(
        "tumour_cm3",
        max_value=LARGEST_TUMOUR,
        text=f"The tumour is not larger than {LARGEST_TUMOUR:.0f} cm3.",
        reason=f"its tumour measures {{tumour_cm3:.0f}} cm3, expected at most {LARGEST_TUMOUR:.0f}: check the ground truth "
        "and the spacing",
    ),
    _between(
        "tumour_cm3",
        min_value=0,
        strict_min=True,
        text="The ground truth holds some tumour.",
        reason="its ground truth holds no tumour: check that it is this patient's file",
        severity="warning",
    ),
    _between(
        "tumour_outside",
        max_value=TUMOUR_OUTSIDE,
        text=f"At most {TUMOUR_OUTSIDE:.0%} of the tumour lies outside the brain.",
        reason=f"{{tumour_outside:.1%}} of its tumour lies outside the brain, expected at most {TUMOUR_OUTSIDE:.0%}: check "
        "that the ground truth is this patient's and has the same orientation",
        severity="warning",
    ),
)


def all_rules(*, spacing: Spacing) -> tuple[Rule, ...]:
    """All rules, given the cohort's most common spacing. A case's reasons are listed in this order."""
    return (
        *SCAN_RULES,
        *TRUTH_RULES,
        *(
            _between(
                column,
                min_value=(1 - SPREAD) * size,
                max_value=(1 + SPREAD) * size,
                text=f"{column} is near the {size:.3g} mm that most cases have.",
                reason=f"{_SPACING}, most cases have {in_mm(spacing)}: resample or remove it",
                severity="warning",
            )
            for column, size in zip(SPACINGS, spacing, strict=True)
        ),
        Rule(
            "ExpectColumnValuesToBeUnique",
            {"column": "case"},
            "No two cases have one name.",
            "more than one folder gives this case name: rename all but one of them",
        ),
        _equals(
            "namesake",
            "",
            text="No two folders held cases of one name.",
            reason="the case in {namesake} has the same name, so both count as one patient: rename one if they are two",
            severity="warning",
        ),
        _equals(
            "twin",
            "",
            text="No two cases hold the same voxels.",
            reason="holds the same voxels as {twin}, which is kept: remove one of the two",
        ),
    )


def in_mm(spacing: Spacing) -> str:
    """The sides of a voxel, formatted for a message."""
    return " x ".join(f"{size:.3g}" for size in spacing) + " mm"
