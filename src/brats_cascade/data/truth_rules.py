"""The rules about a case's ground truth, which a prediction does not need."""

from brats_cascade.data.rule import Row, Rule, between, equals

LARGEST_TUMOUR = 600.0  # cm3
NO_TRUTH = "no ground truth: can be segmented, but not used for training"
NO_ENHANCING = "its ground truth does not mark enhancing tumour: can be segmented and scored, but not used for training"
TUMOUR_OUTSIDE = 0.01  # share of the tumour's voxels that may lie outside the brain


def truth_rules() -> tuple[Rule, ...]:
    """In the order in which a case's reasons are listed."""
    return (
        equals(
            "unknown_labels",
            "",
            text="The ground truth holds only labels that the release knows.",
            reason=_unknown,
        ),
        equals(
            "has_truth",
            "yes",
            text="The case has a ground truth (training needs one).",
            reason=lambda row: NO_TRUTH,
        ),
        equals(
            "regions",
            "all",
            text="The ground truth tells all regions apart (training needs that).",
            reason=lambda row: NO_ENHANCING,
        ),
        between(
            "tumour_cm3",
            max_value=LARGEST_TUMOUR,
            text=f"The tumour is not larger than {LARGEST_TUMOUR:.0f} cm3.",
            reason=_huge,
        ),
        between(
            "tumour_cm3",
            min_value=0,
            strict_min=True,
            text="The ground truth holds some tumour.",
            reason=lambda row: "its ground truth holds no tumour: check that it is this patient's file",
            severity="warning",
        ),
        between(
            "tumour_outside",
            max_value=TUMOUR_OUTSIDE,
            text=f"At most {TUMOUR_OUTSIDE:.0%} of the tumour lies outside the brain.",
            reason=_outside,
            severity="warning",
        ),
    )


def _unknown(row: Row) -> str:
    found = f"its ground truth holds the labels {row['unknown_labels']}, unknown to the scheme {row['scheme']!r}"
    return f"{found}: correct the ground truth, or name the case in a listing with another scheme"


def _huge(row: Row) -> str:
    found = f"its tumour measures {row['tumour_cm3']:.0f} cm3, expected at most {LARGEST_TUMOUR:.0f}"
    return f"{found}: check the ground truth and the spacing"


def _outside(row: Row) -> str:
    found = f"{row['tumour_outside']:.1%} of its tumour lies outside the brain, expected at most"
    return f"{found} {TUMOUR_OUTSIDE:.0%}: check that the ground truth is this patient's and has the same orientation"
