"""How figures are computed: said once, and linked from wherever they stand; only what this report uses."""

from collections.abc import Sequence

from report.analysis.findings import Findings
from report.render.blocks import Facts, ReportSection

_CHOOSING = (
    "Choosing",
    "Everything is chosen on validation tweets: the recommended configuration by its mean F1 over seeds, what of it "
    "predicts (net, linear baseline or the mean of both) by mean accuracy over seeds, the best value of a setting by "
    "the mean F1 of its runs. Test tweets choose nothing; they only say how sure that is.",
)
_SHOWN = (
    "Better, worse, beats, shown",
    "One comparison stands behind every such word: the difference of mean test accuracies on the tweets that both "
    "sides have, for other seeds and other tweets. Seeds and tweets are two crossed random factors (analysis of "
    "variance). The variance between seeds is pooled over the configurations beside it, for numbers of labels over "
    "those with as many; a configuration whose seeds differ more keeps its own. To it comes the variance over tweets "
    "that is not between seeds already. Each part counts with Student's quantile of its own degrees of freedom "
    "(Banerjee 1960), which holds the level with two seeds as well. A difference is shown if its adjusted p is below "
    "0.05: p-values of all claims that stand together are adjusted by Benjamini and Hochberg (1995), and intervals are "
    "widened with them (Benjamini and Yekutieli 2005), so that an interval excludes zero just where the adjusted p is "
    "below 0.05.",
)
_ONE_SEED = (
    "One seed each",
    "Where others have several seeds, their pooled variance is taken for a single seed too. Where none has, the "
    "variance between matched configurations takes its place; where there is but one of each, the exact McNemar test "
    "(1947) compares these trained models, and the sentence says that it holds for these alone.",
)
_SEVERAL = (
    "Several configurations",
    "Corrected together: all of them against the baseline; all pairs of them. Pairs, and not only those with the best, "
    "since seeds that were lucky when they were chosen are lucky on test tweets too.",
)
_ACCURACY = (
    "Test accuracy of a configuration",
    "Mean over seeds, with the interval of the same comparison, cut off at 0 and 100 %; of a single trained model "
    "Wilson's interval over tweets.",
)
_TWO_RUNS = (
    "Two runs in the page",
    "A single comparison: the exact McNemar test on the tweets that just one has right, with Clopper and Pearson's "
    "interval; of these two trained models, and not corrected for other pairs that a reader looks at.",
)
_BASELINE = (
    "The linear baseline",
    "Logistic regression on TF-IDF of words, word pairs and 2 to 5 characters of a word, weighted by naive Bayes, and "
    "on what AFINN's rated words come to with negation; trained on the same tweets as the net.",
)
_OVERFITTING = (
    "Overfitting",
    "By the rule of each configuration: training accuracy less validation accuracy at the best epoch above a "
    "threshold.",
)
_CALIBRATION = (
    "Calibration",
    "Ten groups of equally many tweets; the expected calibration error is their mean distance from the diagonal "
    "(Naeini et al. 2015).",
)


def methods(findings: Findings, of_questions: Sequence[tuple[str, str]]) -> ReportSection:
    """Those that some figure or sentence rests on; none while no run is completed.

    Args:
        of_questions: what questions add, each by its name.
    """
    if findings.main is None:
        return ReportSection("Methods", [])
    configurations = findings.main.configurations
    used = {
        _CHOOSING: True,
        _SHOWN: True,
        _ONE_SEED: any(len(one.runs) == 1 for dataset in findings.datasets for one in dataset.configurations),
        _SEVERAL: len(configurations) > 1,
        _ACCURACY: True,
        _TWO_RUNS: findings.packed is not None and len(findings.packed.run_ids) > 1,
        _BASELINE: True,
        _OVERFITTING: True,
        _CALIBRATION: findings.best is not None and findings.best.scores is not None,
    }
    chosen = [method for method, is_used in used.items() if is_used]
    return ReportSection("Methods", [Facts([*chosen, *dict.fromkeys(of_questions)])])
