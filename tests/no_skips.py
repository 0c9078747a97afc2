"""The option `--no-skips`: where everything is expected to run, a skipped test is a failure."""

import pytest

# What may be missing where the tests run: a GPU, and the real tweets beside the repository.
_MAY_BE_MISSING = {"gpu", "shared_data"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help=f"fail if a test is skipped that lacks {_MAY_BE_MISSING}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and session.config.getoption("--no-skips"):
        for report in reporter.stats.get("skipped", []):
            if not _MAY_BE_MISSING & {*getattr(report, "keywords", ())}:
                reporter.write_line(f"skipped, which --no-skips forbids: {report.nodeid}")
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
