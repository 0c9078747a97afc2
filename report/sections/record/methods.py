"""How figures are computed: said once, and linked from wherever they stand."""

from report.analysis.findings import Findings
from report.render.blocks import Facts, ReportSection

_METHODS: list[tuple[str, object]] = [
    (
        "Choosing",
        "The recommended configuration has the best mean F1 over its seeds on validation tweets. Test tweets choose "
        "nothing; they are read once, at the end.",
    ),
    (
        "Test accuracy of a configuration",
        "Mean over seeds with Student's 95 % interval, cut off at 0 and 100 %. Of a single seed: Wilson's interval "
        "over tweets.",
    ),
    (
        "One configuration against another, or the linear baseline",
        "Difference of mean accuracies on the same test tweets. Seeds and tweets are both taken as drawn at random: "
        "the variance is that over tweets plus, for each side with several seeds, that between seeds beyond what "
        "tweets explain; Student's interval and test with Satterthwaite's degrees of freedom.",
    ),
    (
        "One run against another, or the linear baseline",
        "Exact McNemar test (1947) on the tweets that just one has right; interval by Clopper and Pearson, so that it "
        "agrees with the test.",
    ),
    (
        "A setting",
        "The value with the best mean test accuracy against each other value, over pairs of runs that differ in "
        "nothing else (a run in which a setting does nothing is paired with the mean over its values): mean "
        "difference, paired t-test. As all runs are tested on the same tweets, this says what would come of training "
        "again, not of other tweets.",
    ),
    (
        "Many comparisons",
        "p-values are adjusted by Benjamini and Hochberg (1995); intervals are widened with them (Benjamini and "
        "Yekutieli 2005), so that an interval excludes zero just where the adjusted p is below 0.05. Corrected "
        "together: all rivals of the recommended configuration; all comparisons of one grid; all runs against the "
        "baseline.",
    ),
    (
        "The linear baseline",
        "Logistic regression on TF-IDF of words, word pairs and 2 to 5 characters of a word, weighted by naive Bayes; "
        "trained on the same tweets as the net.",
    ),
    (
        "Overfitting",
        "By the rule of each configuration: training accuracy less validation accuracy at the best epoch above a "
        "threshold.",
    ),
    (
        "Importance in a search",
        "Share of the variance of the score that a parameter explains (fANOVA, Hutter et al. 2014), with the middle "
        "90 % over trials drawn anew; Spearman's rank correlation with Fisher's interval.",
    ),
    (
        "Calibration",
        "Ten groups of equally many tweets; the expected calibration error is their mean distance from the diagonal "
        "(Naeini et al. 2015).",
    ),
    (
        "Energy",
        "Hours times the rated power of the GPU's board, or of each CPU thread, without cooling: an upper bound for "
        "boards that are not always busy.",
    ),
]


def methods(_findings: Findings) -> ReportSection:
    """The same for every report."""
    return ReportSection("Methods", [Facts(_METHODS)])
