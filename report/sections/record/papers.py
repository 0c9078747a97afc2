"""For papers: files to include, and what to cite."""

from report.analysis.comparison.matching import is_search
from report.analysis.findings import BestRun, Findings
from report.render.blocks import Block, Command, Document, Fold, ReportSection, Text
from report.render.markdown import code, joined
from report.sections.remarks import export_command

_CITED = {
    "sentiment140": """@techreport{go2009twitter,
  author = {Go, Alec and Bhayani, Richa and Huang, Lei},
  title = {Twitter Sentiment Classification using Distant Supervision},
  institution = {Stanford University},
  year = {2009}
}""",
    "vader": """@inproceedings{hutto2014vader,
  author = {Hutto, C. J. and Gilbert, Eric},
  title = {{VADER}: A Parsimonious Rule-Based Model for Sentiment Analysis of Social Media Text},
  booktitle = {International AAAI Conference on Web and Social Media},
  year = {2014}
}""",
    "attention": """@inproceedings{lin2017structured,
  author = {Lin, Zhouhan and Feng, Minwei and dos Santos, Cicero Nogueira and Yu, Mo and Xiang, Bing and Zhou, Bowen
            and Bengio, Yoshua},
  title = {A Structured Self-Attentive Sentence Embedding},
  booktitle = {International Conference on Learning Representations},
  year = {2017}
}""",
    "elmo": """@inproceedings{peters2018deep,
  author = {Peters, Matthew E. and Neumann, Mark and Iyyer, Mohit and Gardner, Matt and Clark, Christopher and
            Lee, Kenton and Zettlemoyer, Luke},
  title = {Deep Contextualized Word Representations},
  booktitle = {NAACL-HLT},
  year = {2018}
}""",
    "budget": """@inproceedings{dodge2019show,
  author = {Dodge, Jesse and Gururangan, Suchin and Card, Dallas and Schwartz, Roy and Smith, Noah A.},
  title = {Show Your Work: Improved Reporting of Experimental Results},
  booktitle = {EMNLP-IJCNLP},
  year = {2019}
}""",
    "correction": """@article{benjamini1995controlling,
  author = {Benjamini, Yoav and Hochberg, Yosef},
  title = {Controlling the False Discovery Rate: A Practical and Powerful Approach to Multiple Testing},
  journal = {Journal of the Royal Statistical Society: Series B},
  volume = {57}, number = {1}, pages = {289--300},
  year = {1995}
}""",
}


def papers(findings: Findings) -> ReportSection:
    """What a paper needs besides its text."""
    if not findings.main:
        return ReportSection("For papers", [])
    files = joined(
        [
            "Beside this page, a report has each table as LaTeX (booktabs), CSV and JSON in",
            joined([code("tables/"), ","], ""),
            "what stands below in",
            code("documents/"),
            "and each figure as SVG and Vega-Lite specification in",
            code("figures/"),
            "(as PDF too with",
            code("python -m report build --pdf"),
        ]
    )
    cited = Document("references.bib", "\n\n".join(_CITED[name] for name in _names(findings)) + "\n")
    content: list[Block] = [Text(joined([files, ")."], "")), Fold("What to cite (BibTeX)", [cited])]
    if findings.best and findings.best.card:
        content.append(_card(findings.best, findings.best.card, findings))
    return ReportSection("For papers", content)


def _card(best: BestRun, card: str, findings: Findings) -> Fold:
    """The card of the recommended model, and how to get the file that it describes."""
    text = Text("It goes with the file that hands the model on; scores are those of this run alone.")
    write = Command("To write that file", export_command(best.run, findings.study.results))
    return Fold("Model card of the recommended model", [text, write, Document("model_card.md", card)])


def _names(findings: Findings) -> list[str]:
    """Which data and methods the runs used."""
    completed = findings.study.completed
    used = {
        "sentiment140": any(run.read_sentiment140 or "sentiment140" in run.config.data.source for run in completed),
        "vader": any(run.config.data.source in ("vader", "sample") or run.result.lexicon for run in completed),
        "attention": any(run.config.model.pooling == "attention" for run in completed),
        "elmo": any(run.config.elmo for run in completed),
        "budget": any(is_search(grid) for grid in findings.study.grids),
        "correction": True,
    }
    return [name for name, is_used in used.items() if is_used]
