"""The option `--no-skips`: where everything is expected to run, a skipped test is a failure."""

from collections.abc import Generator
from typing import Any

import pytest

# What may be missing where the tests run: a GPU, and the real tweets beside the repository.
_MAY_BE_MISSING = ("gpu", "shared_data")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips",
        action="store_true",
        help=f"fail tests that are skipped, apart from those marked {' or '.join(_MAY_BE_MISSING)}",
    )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    if _is_forbidden(report, item) and not any(item.get_closest_marker(name) for name in _MAY_BE_MISSING):
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    report = yield
    if _is_forbidden(report, collector):
        _fail(report)
    return report


def _is_forbidden(report: Any, node: pytest.Item | pytest.Collector) -> bool:
    return bool(node.config.getoption("--no-skips") and report.skipped and not hasattr(report, "wasxfail"))


def _fail(report: Any) -> None:
    *_, reason = report.longrepr if isinstance(report.longrepr, tuple) else (report.longrepr,)
    report.outcome = "failed"
    report.longrepr = f"skipped, which --no-skips forbids: {reason}"
