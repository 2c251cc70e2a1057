"""One rule of the gate: an expectation of Great Expectations, with the reason that it gives for a case that breaks it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Row = Mapping[str, Any]
Reason = Callable[[Row], str]
Severity = Literal["critical", "warning"]


@dataclass(frozen=True)
class Rule:
    """One expectation.

    Attributes:
        expectation: Name of the class in great_expectations.expectations.
        arguments: What that class is given, the column included.
        text: What the data docs say about it.
        reason: A row of the per-case table that fails -> what is wrong with it and the cure, without the case's name.
        severity: "critical" sets the case aside, "warning" keeps it.
    """

    expectation: str
    arguments: Mapping[str, Any]
    text: str
    reason: Reason
    severity: Severity = "critical"

    def broken_by(self, row: Row) -> bool:
        """Whether a row breaks the rule; Great Expectations says the same of a table (test)."""
        given = self.arguments
        if self.expectation == "ExpectColumnValuesToBeInSet":
            return row[given["column"]] not in given["value_set"]
        if self.expectation == "ExpectColumnValuesToNotBeNull":
            return math.isnan(row[given["column"]])
        if self.expectation == "ExpectColumnPairValuesAToBeGreaterThanB":
            return row[given["column_A"]] <= row[given["column_B"]]  # not with NaN, which is unknown
        if self.expectation == "ExpectColumnValuesToBeBetween":
            value = row[given["column"]]
            low, high = given.get("min_value", -math.inf), given.get("max_value", math.inf)
            return value < low or value > high or (given.get("strict_min", False) and value == low)
        raise NotImplementedError(self.expectation)


def equals(column: str, value: str, *, text: str, reason: Reason, severity: Severity = "critical") -> Rule:
    """A rule that a column holds one value."""
    return Rule("ExpectColumnValuesToBeInSet", {"column": column, "value_set": [value]}, text, reason, severity)


def between(column: str, *, text: str, reason: Reason, severity: Severity = "critical", **limits: Any) -> Rule:
    """A rule that a number lies within `min_value` and `max_value`, or is unknown."""
    return Rule("ExpectColumnValuesToBeBetween", {"column": column, **limits}, text, reason, severity)
