"""Each command that reads a user's table sees the same rows of it, or says why it does not."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from sentiment.runs.run_dir import RunDir
from tests.commands import invoke
from tests.small_runs import invented_tweets, write_tweets

ROWS = 200
COLUMN = "what they said there"  # looks like a tweet

# By command: its words before and after the table, what it says of all rows, and whether it estimates from them.
COMMANDS: dict[str, tuple[list[str], list[str], bool]] = {
    "predict": (["predict", "RUN", "--file"], ["--out", "o.csv", "--text-column", COLUMN], False),
    "share": (["share", "RUN"], ["--text-column", COLUMN], True),
    "share of answers": (["share"], ["--answers", "mood", "--text-column", COLUMN], True),
    "sheet of a share": (["share", "RUN"], ["--text-column", COLUMN, "--sheet", "s.csv"], True),
    "sheet of a choice": (["evaluate", "RUN", "--data"], ["--text-column", COLUMN, "--sheet", "s.csv"], True),
    "evaluate": (["evaluate", "RUN", "--data"], ["--text-column", COLUMN, "--label-column", "mood"], True),
    "add": (
        ["add", "--of"],
        ["--sheet", "s.csv", "--set", f"data.columns.text={COLUMN}", "--set", "data.columns.label=mood"],
        True,
    ),
    "answers": (["add", "bot"], ["--of", "gold.csv", "--text-column", COLUMN, "--label-column", "mood"], True),
    "data": (["data"], ["--text-column", COLUMN, "--label-column", "mood"], True),
}  # fmt: skip


@pytest.fixture
def run(trained: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.chdir(tmp_path)
    write_tweets(Path("gold.csv"), [(_moods(label), text) for label, text in _texts()], ("label", "text"))

    def run_command(command: str, table: str, *further: object) -> str:
        before, after, _ = COMMANDS[command]
        words = [str(trained.path) if word == "RUN" else word for word in before]
        return invoke(*words, table, *after, *further).output

    return run_command


def _texts(size: int = ROWS) -> list[tuple[int, str]]:
    return [(label, f"{text} indeed") for label, text in invented_tweets(size, seed=77)]


def _moods(label: int) -> str:
    return ["negative", "positive"][label]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_header_that_no_list_knows_is_no_tweet(command: str, run: Callable[..., str]) -> None:
    lines = [f"{_moods(label)},{text}\n" for label, text in _texts()]
    Path("t.csv").write_text(f"mood,{COLUMN}\n" + "".join(lines))
    output = run(command, "t.csv")
    assert re.search(r"\b200\b", output), output
    assert "201" not in output
    for sheet in Path().glob("[so].csv"):
        assert len(sheet.read_text(encoding="utf-8-sig").splitlines()) == 1 + ROWS
        assert f",{COLUMN}," not in sheet.read_text().split("\n", 1)[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_rows_that_vanish_between_quotes_are_asked_about(command: str, run: Callable[..., str]) -> None:
    _write_with_quotes(Path("t.tsv"))
    asked = run(command, "t.tsv")
    assert "t.tsv:2: a quote opens here" in asked
    assert "--no-quotes" in asked
    read = run(command, "t.tsv", "--no-quotes")
    assert "a quote opens here" not in read
    assert re.search(r"\b200\b", read)


def _write_with_quotes(path: Path) -> None:
    rows = [(_moods(label), f'"{text}' if index % 4 == 0 else text) for index, (label, text) in enumerate(_texts())]
    path.write_text(f"mood\t{COLUMN}\n" + "".join(f"{mood}\t{text}\n" for mood, text in rows))


def test_grids_read_a_table_as_the_question_about_its_quotes_is_answered(tmp_path: Path) -> None:
    table = tmp_path / "t.tsv"
    _write_with_quotes(table)
    words = ["submit", "smoke", "--data", table, "--text-column", COLUMN, "--label-column", "mood", "--dry-run"]
    words += ["--results", tmp_path / "results"]
    assert "--no-quotes" in invoke(*words).output
    assert invoke(*words, "--no-quotes").exit_code == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_who_estimates_refuses_a_remainder_unless_told_what_to_leave_out(command: str, run: Callable[..., str]) -> None:
    rows = [
        (_moods(label), f"{text}, really" if index % 4 == 0 else text) for index, (label, text) in enumerate(_texts())
    ]
    Path("t.csv").write_text(f"mood,{COLUMN}\n" + "".join(f"{mood},{text}\n" for mood, text in rows))
    output = run(command, "t.csv")
    refusal = "t.csv: 50 of 200 rows cannot be used, more than 5%"
    if command == "predict":
        assert "50 rows without a prediction: wrong number of fields" in output
        return
    assert refusal in output
    output = run(command, "t.csv", "--leave-out", "wrong number of fields")
    assert refusal not in output
    assert re.search(r"\b150\b", output) or command.startswith("sheet")


def test_a_column_that_any_option_names_makes_the_first_line_a_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [(_moods(label), text, index % 2) for index, (label, text) in enumerate(_texts())]
    write_tweets(Path("survey.csv"), rows, ("mood", "What do you think of our service?", "place"))
    output = invoke("share", "survey.csv", "--answers", "mood", "--by", "place").output
    assert re.search(r"all tweets +200 ", output), output
