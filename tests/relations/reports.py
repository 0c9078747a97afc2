"""Reports of random studies in this process, without their drawings, which cost most of the time."""

from unittest.mock import patch

from report.build import build_report
from report.questions import search
from report.render import charts, page
from sentiment.runs.run_dir import Results

_EMPTY = '<svg width="1" height="1" role="img"><title></title></svg>'


def report_without_charts(results: Results) -> None:
    """Write the report of all runs into its usual folder."""
    with (
        patch.object(charts, "draw", lambda spec, title: _EMPTY),
        patch.object(page, "_vega_bundle", str),
        patch.object(search, "importances", lambda *_: {}),
    ):
        build_report(results, [], results.report)
