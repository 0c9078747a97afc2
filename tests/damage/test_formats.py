"""What a version with another format wrote is refused by each command that reads it: in one line, with what to do."""

import hashlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentiment.errors import FormatError
from sentiment.predicting.stored import CONFIG, write_archive
from sentiment.runs.records import StartCount
from sentiment.runs.run_dir import RunDir, parse_sealed, sealed_bytes
from sentiment.version import FORMAT, STAMP, check_stamp
from tests.commands import invoke
from tests.damage.damages import replace
from tests.damage.study import Study
from tests.damage.trials import resume
from tests.predicting.test_stored import read_archive

pytestmark = pytest.mark.slow
_OTHER = "sentiment-grids 2.3.4, format 2"
_REFUSAL = re.compile(
    r"was written by version 2\.3\.4, in format 2; this is version \S+, which reads format 1: use that"
)


def of_another_version(content: bytes) -> bytes:
    """The content of a record or a checkpoint as another version would write it, intact."""
    assert content.count(STAMP.encode()) == 1
    content = content.replace(STAMP.encode(), _OTHER.encode())
    body, seal, _ = content.rpartition(b',\n  "seal": "')
    if seal:
        return body + seal + hashlib.sha256(body).hexdigest().encode() + b'"\n}\n'
    first, _, rest = content.partition(b"\n")
    if not first.endswith(b", checkpoint"):
        return content  # a configuration, which has no seal
    payload = rest[65:]
    return b"\n".join((first, hashlib.sha256(first + b"\n" + payload).hexdigest().encode(), payload))


# The command that reads each kind of file; RUN is the folder of its run.
_READERS = {
    "runs/mine/*/config.json": ("predict", "RUN", "so sad"),
    "runs/mine/*/run.json": ("predict", "RUN", "so sad"),
    "runs/mine/*/result.json": ("predict", "RUN", "so sad"),
    "runs/mine/*/checkpoints/best.ckpt": ("predict", "RUN", "so sad", "--with", "network"),
    "runs/mine/grid.json": ("status", "mine"),
    "runs/search/rung-0.json": ("status", "search"),
    "slurm/mine/*/submission.json": ("status", "mine"),
    "slurm/mine/*/cancelled.json": ("status", "mine"),
    "added/*/teacher.json": ("report",),
    "data/corpora/*/manifest.json": ("report",),
}


@pytest.mark.parametrize("pattern", _READERS)
def test_file_of_another_version_is_refused_in_one_line(study: Study, pattern: str) -> None:
    study.renew()
    for path in sorted(study.results.root.glob(pattern)):
        replace(path, of_another_version(path.read_bytes()))
    run = path.parent.parent if path.suffix == ".ckpt" else path.parent
    done = invoke(*(run if word == "RUN" else word for word in _READERS[pattern]), "--results", study.results.root)
    reports_the_rest = "report" in _READERS[pattern]
    assert done.exit_code == (0 if reports_the_rest else 1), done.output
    lines = [line for line in done.output.splitlines() if path.name in line]
    assert any(_REFUSAL.search(line) for line in lines), done.output
    assert "Traceback" not in done.output


def test_checkpoint_of_another_version_is_not_taken_for_a_damaged_one(study: Study) -> None:
    study.renew()
    for path in study.run_dir(study.stopped).checkpoints.glob("step-*.ckpt"):
        replace(path, of_another_version(path.read_bytes()))
    answer = resume(study)
    assert _REFUSAL.search(answer.output)
    assert answer.code == 1


@given(number=st.integers(0, 10**6), version=st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1))
def test_every_other_number_is_refused_and_the_version_named(number: int, version: str) -> None:
    content = sealed_bytes(StartCount(step=7, number=1, job=None))
    assert parse_sealed(content, StartCount, "f") == StartCount(step=7, number=1, job=None)
    stamp = f"sentiment-grids {version}, format {number}"
    if number == FORMAT:
        check_stamp(stamp, "f")
        return
    with pytest.raises(FormatError) as refusal:
        check_stamp(stamp, "f")
    assert f"f: was written by version {version}, in format {number};" in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1


def test_record_that_names_no_version_is_refused(tmp_path: Path) -> None:
    """As those from before version 1.0, and a configuration that was written by hand."""
    RunDir(tmp_path).config_file.write_text("{\n}\n")
    with pytest.raises(FormatError, match=r"config\.json: names no version that wrote it"):
        RunDir(tmp_path).read_config()


def test_export_of_another_version_is_refused(study: Study, tmp_path: Path) -> None:
    study.renew()
    assert invoke("export", study.run_dir(study.completed).path, tmp_path / "model.zip").exit_code == 0
    files = read_archive(tmp_path / "model.zip")
    write_archive({**files, CONFIG: of_another_version(files[CONFIG])}, tmp_path / "other.zip")
    done = invoke("predict", tmp_path / "other.zip", "so sad")
    assert done.exit_code == 1
    assert _REFUSAL.search(done.output)
    assert len(done.output.splitlines()) == 1
