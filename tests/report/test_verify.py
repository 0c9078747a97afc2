"""`verify_report` on a study that no model was trained for: no false alarm, and what an earlier report left."""

import shutil
from pathlib import Path

import pytest

from report.build import TITLE
from report.render import page
from report.verify import verify_report
from sentiment.console import silent
from sentiment.runs.run_dir import Results
from tests.report.made_up import Study

pytestmark = pytest.mark.slow

_EMPTY = '<svg width="1" height="1" role="img"><title></title></svg>'


@pytest.fixture(autouse=True)
def without_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("report.render.charts.draw", lambda spec, title: _EMPTY)
    monkeypatch.setattr("report.render.page._vega_bundle", str)


def _complaints(results: Results, folder: Path) -> list[str]:
    return verify_report(results, [], folder, TITLE, silent)[1]


@pytest.mark.parametrize("written_as", [Path("results"), Path("inner/../results"), None])
@pytest.mark.parametrize("verified_as", [Path("results"), None])
def test_report_holds_however_its_results_are_named(
    written_as: Path | None, verified_as: Path | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path)
    whole = tmp_path / "results"
    Study(Results(written_as or whole)).single({})
    Study(Results(written_as or whole)).report(Path("report"))
    assert _complaints(Results(verified_as or whole), Path("report")) == []
    if verified_as is None:
        monkeypatch.chdir("inner")
        assert _complaints(Results(whole), tmp_path / "report") == []


def test_table_of_an_earlier_report_is_deleted_by_the_next_one_which_leaves_what_is_not_its_own(study: Study) -> None:
    study.single({})
    other = study.single({"data.test_fraction": 0.2})
    folder = study.results.report
    mine = [folder / "tables" / "mine.csv", folder / "figures" / "mine.svg"]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    study.report(folder)
    old = folder / "tables" / "leaderboard-2.csv"
    content = old.read_text()
    shutil.rmtree(other.path)
    study.report(folder)
    assert [path.exists() for path in (old, old.with_suffix(".tex"), *mine)] == [False, False, True, True]
    old.write_text(content)
    assert [
        path.name for path in (old, *mine) if not any(str(path) in line for line in _complaints(study.results, folder))
    ] == []


def test_report_that_was_killed_when_its_page_was_written_leaves_no_table_of_an_earlier_one(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.single({})
    other = study.single({"data.test_fraction": 0.2})
    folder = study.results.report
    study.report(folder)
    shutil.rmtree(other.path)

    def killed(path: Path, text: str) -> None:
        write(path, text)
        if path.name == "report.html":
            raise KeyboardInterrupt

    write = page._write
    with monkeypatch.context() as patched:
        patched.setattr(page, "_write", killed)
        with pytest.raises(KeyboardInterrupt):
            study.report(folder)
    study.report(folder)
    assert _complaints(study.results, folder) == []
