"""Runs the rules in Great Expectations, writes its data docs as offline pages, and returns the rules that each case breaks."""

import contextlib
import html
import logging
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from brats_cascade.data.rules import Rule
from brats_cascade.errors import naming
from brats_cascade.shared import write_text

# A fixed run name and time, which are part of the pages' paths, so that a second run writes the same files.
RUN, NO_TIME = "check", datetime(2000, 1, 1, tzinfo=UTC)
STYLE = (Path(__file__).parent / "templates" / "check.css").read_text(encoding="utf-8")
# Elements that load something from another host; ordinary links stay.
_FETCHED = re.compile(
    r"<script\b.*?</script\s*>|<footer\b.*?</footer\s*>|<link\b[^>]*>|<img\b[^>]*>", flags=re.DOTALL | re.IGNORECASE
)
_FETCHED_BY_STYLE = re.compile(r"url\(\s*[\"']?(?:https?:)?//[^)]*\)|@import[^;]*//[^;]*;", flags=re.IGNORECASE)
# What differs between two runs with the same result: random ids in anchors, and times.
_OF_ONE_RUN = re.compile(
    r"(?<=-collapse-body)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b\d{8}T\d{6}\.\d{6}Z"
    r"|\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?: ?UTC|[+-]\d\d:?\d\d|Z)?"
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"  # forbids all scripts
_HOME = (
    '<!DOCTYPE html><meta charset=utf-8><meta http-equiv=refresh content="0;url=../index.html">'
    '<a href="../index.html">Data check</a>\n'
)


def failing_rules(facts: pd.DataFrame, *, rules: Sequence[Rule], site: Path) -> dict[str, list[Rule]]:
    """Runs the rules and writes the data docs into a new folder; their entry page is in the folder above.

    Args:
        facts: One row per case: text columns without nulls, and numbers as float64. NaN means unknown and passes every rule.
        rules: The rules to check.
        site: The folder for the data docs.

    Returns:
        Case -> the rules that it breaks, in order. Cases that break none are left out.

    Raises:
        RuntimeError: Great Expectations skipped a rule or could not evaluate it.
        Exception: A page could not be written.
    """
    logging.getLogger("great_expectations").setLevel(logging.WARNING)  # it logs internal details at INFO
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
    # Great Expectations puts the values that break a rule into its pages without escaping them.
    shown = facts.map(lambda value: html.escape(value) if isinstance(value, str) else value)
    with naming(site), _raising():
        outcome = context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": shown}, run_id=run_id)
    make_offline(site)
    return _read_report(*outcome.run_results.values(), rules=rules)


@contextlib.contextmanager
def _raising() -> Iterator[None]:
    """Raises errors in writing a page, which Great Expectations would only log."""
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


def _read_report(report: Any, *, rules: Sequence[Rule]) -> dict[str, list[Rule]]:
    """Refuses a report that does not cover every rule, because a skipped rule would count as passed."""
    evaluated = report.statistics["evaluated_expectations"]
    if evaluated != len(rules):
        raise RuntimeError(f"Great Expectations evaluated {evaluated} of {len(rules)} rules")
    broken: dict[str, list[Rule]] = {}
    for result in sorted(report.results, key=lambda result: result.expectation_config.meta["rule"]):
        rule = rules[result.expectation_config.meta["rule"]]
        rows = result.result.get("unexpected_index_list") or []
        if not result.success and not rows:
            raise RuntimeError(f"rule {rule.text!r} could not be evaluated: {result.exception_info}")
        for case in {row["case"] for row in rows}:
            broken.setdefault(case, []).append(rule)
    return broken


def _put_docs_at(site: Path, *, context: Any) -> None:
    """Makes this folder the only data docs site, instead of the context's temporary folder."""
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


def make_offline(site: Path) -> None:
    """Rewrites the pages of a data docs site so that they load nothing from the network and are the same in every run.

    The site's own index.html lists its pages by a script, which would not run, so it redirects to the entry page instead.
    """
    policy = f'<meta http-equiv=Content-Security-Policy content="{_POLICY}">'
    shutil.rmtree(site / "static", ignore_errors=True)
    for page in sorted(site.rglob("*.html")):
        text = _FETCHED_BY_STYLE.sub("none", _FETCHED.sub("", page.read_text(encoding="utf-8")))
        text = _OF_ONE_RUN.sub("", text)
        write_text(page, text.replace("</head>", f"{policy}<style>{STYLE}</style></head>", 1))
    write_text(site / "index.html", _HOME)
