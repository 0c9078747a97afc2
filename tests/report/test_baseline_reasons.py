"""Beside attention stands what the linear baseline decides by, where the run saved it; older runs do without."""

import json
from pathlib import Path

import pytest

from report.compare.findings import Findings, analyse
from report.questions.attention import attention, looks_of
from report.read.load import load_study
from report.render.blocks import Figure
from sentiment.config_file import resolve
from sentiment.inference.explain import explain
from sentiment.inference.models import load_model
from sentiment.runs.run_dir import Results, RunDir
from tests.report.made_up import BASE, Study


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    """One run with self-attention."""
    config = resolve(BASE, {"model.pooling": "attention"}, "base")
    return Study(Results(tmp_path / "results")).complete(config)


def _findings(run_dir: RunDir) -> Findings:
    return analyse(load_study(run_dir.results, []))


def _drawn(findings: Findings) -> str:
    return json.dumps(
        [block.spec for card in attention(findings).cards for block in card.blocks if isinstance(block, Figure)]
    )


def test_reasons_are_those_of_explain(run_dir: RunDir) -> None:
    found, _ = looks_of(_findings(run_dir))
    assert found
    for sample in found.samples:
        assert sample.baseline
        explained = explain(load_model(run_dir, "baseline"), " ".join(sample.tokens[:2]))
        tokens = sample.tokens[: len(explained.tokens)]
        known = [place for place, token in enumerate(tokens) if explained.tokens[place] == token]
        assert known
        assert [sample.baseline.weights[place] for place in known] == [explained.weights[place] for place in known]


def test_damaged_baseline_is_named_and_attention_is_shown(run_dir: RunDir) -> None:
    run_dir.baseline_file.write_bytes(b"nothing")
    findings = _findings(run_dir)
    assert [problem for problem in attention(findings).problems if run_dir.baseline_file.name in problem]
    assert "happy" in _drawn(findings)
    assert "reason" not in _drawn(findings)
