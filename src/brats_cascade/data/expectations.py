"""Runs the rules in Great Expectations, writes its data docs, and reads off which cases fail which rule."""

import contextlib
import html
import logging
import shutil
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from brats_cascade.data.rules import Rule
from brats_cascade.errors import naming

# Every run has the same name and time, and they are in the pages' paths: a second run writes the same files.
RUN, NO_TIME = "check", datetime(2000, 1, 1, tzinfo=UTC)


def failing_cases(facts: pd.DataFrame, *, rules: Sequence[Rule], site: Path) -> list[set[str]]:
    """Runs the rules and writes the data docs.

    Args:
        facts: One row per case: text columns without nulls, numbers as float64 (NaN: not known, passes every rule).
        rules: What to check.
        site: Folder for the data docs; made here.

    Returns:
        For every rule, in order, the names of the cases that fail it.

    Raises:
        RuntimeError: Great Expectations left a rule out or could not evaluate it.
        Exception: What kept it from writing a page.
    """
    logging.getLogger("great_expectations").setLevel(logging.WARNING)  # it reports its inner workings as INFO
    import great_expectations as gx
    import great_expectations.expectations as gxe
    from great_expectations.checkpoint import UpdateDataDocsAction
    from great_expectations.core.run_identifier import RunIdentifier

    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)  # set to INFO on import
    context: Any = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    _put_docs_at(site, context=context)
    expectations = [
        getattr(gxe, rule.expectation)(
            **rule.arguments, description=rule.text, severity=rule.severity, meta={"rule": number}
        )
        for number, rule in enumerate(rules)
    ]
    batch = context.data_sources.add_pandas("facts").add_dataframe_asset("cases")
    definition = gx.ValidationDefinition(
        name="cases",
        data=batch.add_batch_definition_whole_dataframe("all"),
        suite=context.suites.add(gx.ExpectationSuite(name="cases", expectations=expectations)),
    )
    checkpoint = gx.Checkpoint(
        name="cases",
        validation_definitions=[context.validation_definitions.add(definition)],
        actions=[UpdateDataDocsAction(name="docs", site_names=["docs"])],
        result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["case"]},
    )
    run_id = RunIdentifier(run_name=RUN, run_time=NO_TIME)
    with naming(site), _raising():
        outcome = context.checkpoints.add(checkpoint).run(
            batch_parameters={"dataframe": _escaped(facts)}, run_id=run_id
        )
    (report,) = outcome.run_results.values()
    return _read_report(report, rules=rules)


def _escaped(facts: pd.DataFrame) -> pd.DataFrame:
    """Text as HTML shows it: Great Expectations puts the values that broke a rule into its pages as they are."""
    return facts.map(lambda value: html.escape(value) if isinstance(value, str) else value)


@contextlib.contextmanager
def _raising() -> Iterator[None]:
    """Great Expectations logs what keeps it from writing a page, with a traceback, and says nothing to its caller."""
    failures: list[BaseException | None] = []
    log = logging.getLogger("great_expectations.render.renderer.site_builder")

    def note(record: logging.LogRecord) -> bool:
        failures.extend([sys.exc_info()[1]] if record.levelno >= logging.ERROR else [])
        return record.levelno < logging.ERROR

    log.addFilter(note)
    try:
        yield
    finally:
        log.removeFilter(note)
    for failure in filter(None, failures):
        raise failure


def _read_report(report: Any, *, rules: Sequence[Rule]) -> list[set[str]]:
    """Refuses a report that does not cover every rule: a dropped rule would pass."""
    evaluated = report.statistics["evaluated_expectations"]
    if evaluated != len(rules):
        raise RuntimeError(f"Great Expectations evaluated {evaluated} of {len(rules)} rules")
    failing: list[set[str]] = [set() for _ in rules]
    for result in report.results:
        number = result.expectation_config.meta["rule"]
        rows = result.result.get("unexpected_index_list") or []
        if not result.success and not rows:
            raise RuntimeError(f"rule {rules[number].text!r} could not be evaluated: {result.exception_info}")
        failing[number] = {row["case"] for row in rows}
    return failing


def _put_docs_at(site: Path, *, context: Any) -> None:
    """One data docs site, in this folder, in place of the one in a temporary folder that a context comes with."""
    for name, config in dict(context.variables.data_docs_sites).items():
        shutil.rmtree(config["store_backend"]["base_directory"], ignore_errors=True)
        context.delete_data_docs_site(name)
    config = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(site.absolute())},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }
    context.add_data_docs_site(site_name="docs", site_config=config)
