"""The rules every case must meet, each one built-in expectation of Great Expectations."""

from brats_cascade import MODALITIES
from brats_cascade.data.rule import Row, Rule, between, equals
from brats_cascade.data.truth_rules import truth_rules

BRAIN_FRACTION = (0.01, 0.9)  # share of the volume's voxels
POSSIBLE_SPACING = (0.3, 5.0)  # mm
SPREAD = 0.2  # share of a cohort's spacing by which a case may differ from it
LARGEST_INTENSITY = 1e6  # scanners write 16-bit integers; more means a wrong scale factor or byte order

_SPACINGS = ("spacing_slice", "spacing_row", "spacing_column")

Spacing = tuple[float, float, float]


def all_rules(*, spacing: Spacing = (1.0, 1.0, 1.0)) -> tuple[Rule, ...]:
    """Every rule; a case's reasons are listed in this order.

    Args:
        spacing: What most cases of the cohort have, mm, along slices, rows and columns.
    """
    return (*case_rules(truth=True), *_cohort_rules(spacing))


def case_rules(*, truth: bool) -> tuple[Rule, ...]:
    """The rules that a case meets or breaks whatever cohort it is in.

    Args:
        truth: Whether to have those about its ground truth, which a prediction does not need.
    """
    scans = (*_file_rules(), *_brain_rules(), *_intensity_rules(), *_spacing_rules())
    return (*scans, *truth_rules()) if truth else scans


def _file_rules() -> tuple[Rule, ...]:
    expected = ",".join(MODALITIES)
    return (
        equals(
            "problem",
            "",
            text="Every file of the case can be read.",
            reason=lambda row: row["problem"],
        ),
        equals(
            "modalities",
            expected,
            text=f"The case has the four modalities {expected}.",
            reason=lambda row: f"modalities {row['modalities'] or 'none'}, expected {expected}: add the missing file",
        ),
        equals(
            "same_grid",
            "yes",
            text="All volumes of the case share one shape and one affine.",
            reason=lambda row: "its volumes differ in shape or affine: resample them to one grid",
        ),
        equals(
            "finite",
            "yes",
            text="No volume holds NaN or Inf.",
            reason=lambda row: "a volume holds NaN or Inf: export it again",
        ),
    )


def _brain_rules() -> tuple[Rule, ...]:
    low, high = BRAIN_FRACTION

    def reason(row: Row) -> str:
        found = f"the brain fills {row['brain_fraction']:.1%} of the volume, expected {low:.0%} to {high:.0%}"
        return f"{found}: check that the images are skull-stripped and not empty"

    return (
        Rule(
            "ExpectColumnValuesToNotBeNull",
            {"column": "brain_fraction"},
            "The share of the brain in the volume is known.",
            lambda row: "its brain could not be measured: run the ingest stage again",
        ),
        between(
            "brain_fraction",
            min_value=low,
            max_value=high,
            text=f"The brain fills {low:.0%} to {high:.0%} of the volume.",
            reason=reason,
        ),
    )


def _intensity_rules() -> tuple[Rule, ...]:
    return tuple(rule for name in MODALITIES for rule in _intensity_rules_of(name))


def _intensity_rules_of(name: str) -> tuple[Rule, ...]:
    def too_far(row: Row) -> str:
        found = f"{name} runs from {row[f'{name}_min']:.4g} to {row[f'{name}_max']:.4g}"
        return f"{found}, expected within +-{LARGEST_INTENSITY:g}: check its scale factor and byte order"

    def flat(row: Row) -> str:
        return f"98 % of {name} inside the brain is one value, {row[f'{name}_p50']:.4g}: check that file"

    return (
        between(
            f"{name}_std",
            min_value=0,
            strict_min=True,
            text=f"{name} varies inside the brain.",
            reason=lambda row: f"{name} is constant inside the brain: replace that file",
        ),
        *(
            between(
                f"{name}_{end}",
                min_value=-LARGEST_INTENSITY,
                max_value=LARGEST_INTENSITY,
                text=f"{name}'s intensities lie within +-{LARGEST_INTENSITY:g}.",
                reason=too_far,
            )
            for end in ("min", "max")
        ),
        Rule(
            "ExpectColumnPairValuesAToBeGreaterThanB",
            {"column_A": f"{name}_p99", "column_B": f"{name}_p01", "or_equal": False},
            f"{name}'s 99th percentile exceeds its 1st.",
            flat,
            "warning",
        ),
    )


def _spacing_rules() -> tuple[Rule, ...]:
    def reason(row: Row) -> str:
        low, high = POSSIBLE_SPACING
        return f"spacing {_spacing_of(row)}, expected {low} to {high}: correct the header or resample"

    return tuple(
        between(
            column,
            min_value=POSSIBLE_SPACING[0],
            max_value=POSSIBLE_SPACING[1],
            text=f"{column} is possible for an MR volume.",
            reason=reason,
        )
        for column in _SPACINGS
    )


def in_mm(spacing: Spacing) -> str:
    """Sizes of a voxel for a message."""
    return " x ".join(f"{size:.3g}" for size in spacing) + " mm"


def _spacing_of(row: Row) -> str:
    return in_mm((row["spacing_slice"], row["spacing_row"], row["spacing_column"])) + " (slice, row, column)"


def _cohort_rules(spacing: Spacing) -> tuple[Rule, ...]:
    return (
        *(
            between(
                column,
                min_value=(1 - SPREAD) * size,
                max_value=(1 + SPREAD) * size,
                text=f"{column} is near the {size:.3g} mm that most cases have.",
                reason=lambda row: (
                    f"spacing {_spacing_of(row)}, most cases have {in_mm(spacing)}: resample it, or take it out"
                ),
                severity="warning",
            )
            for column, size in zip(_SPACINGS, spacing, strict=True)
        ),
        Rule(
            "ExpectColumnValuesToBeUnique",
            {"column": "case"},
            "No two cases have one name.",
            lambda row: "more than one folder gives this case name: rename all but one of them",
        ),
        equals(
            "namesake",
            "",
            text="No two folders held cases of one name.",
            reason=lambda row: (
                f"the case in {row['namesake']} has the same name, so both count as one patient: rename one if they are two"
            ),
            severity="warning",
        ),
        equals(
            "twin",
            "",
            text="No two cases hold the same voxels.",
            reason=lambda row: f"holds the same voxels as {row['twin']}, which is kept: remove one of the two",
        ),
    )
