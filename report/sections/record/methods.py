"""How figures are computed: said once, and linked from wherever they stand."""

from report.analysis.findings import Findings
from report.render.blocks import Facts, ReportSection

_METHODS: list[tuple[str, object]] = [
    (
        "Choosing",
        "Everything is chosen on validation tweets: the recommended configuration by its mean F1 over seeds, what of "
        "it predicts (net, linear baseline or the mean of both) by mean accuracy over seeds, the best value of a "
        "setting by the mean F1 of its runs. Test tweets choose nothing; they only say how sure that is.",
    ),
    (
        "Better, worse, beats, shown",
        "One comparison stands behind every such word: the difference of mean test accuracies on the tweets that both "
        "sides have, for other seeds and other tweets. Seeds and tweets are two crossed random factors (analysis of "
        "variance). The variance between seeds is pooled over the configurations beside it, for numbers of labels "
        "over those with as many; a configuration whose seeds differ more keeps its own. To it comes the variance over "
        "tweets that is not between seeds already. Each part counts with Student's quantile of its own degrees of "
        "freedom (Banerjee 1960), which holds the level with two seeds as well. A difference is shown if its adjusted "
        "p is below 0.05.",
    ),
    (
        "One seed each",
        "Where others have several seeds, their pooled variance is taken for a single seed too. Where none has, the "
        "variance between matched configurations takes its place; where there is but one of each, the exact McNemar "
        "test (1947) compares these trained models, and the sentence says that it holds for these alone.",
    ),
    (
        "A setting",
        "The value that is best on validation tweets against each other value, over the runs that differ in nothing "
        "else but their seeds; runs that differ in what does nothing on the other side are taken together.",
    ),
    (
        "Many comparisons",
        "p-values are adjusted by Benjamini and Hochberg (1995); intervals are widened with them (Benjamini and "
        "Yekutieli 2005), so that an interval excludes zero just where the adjusted p is below 0.05. Corrected "
        "together: all configurations against the baseline; all pairs of configurations; all pairs of values of all "
        "settings of a grid; all points of label curves; all gains of own ELMo models. Pairs, and not only those with "
        "the best, since seeds that were lucky when they were chosen are lucky on test tweets too.",
    ),
    (
        "Test accuracy of a configuration",
        "Mean over seeds, with the interval of the same comparison, cut off at 0 and 100 %; of a single trained model "
        "Wilson's interval over tweets. In tables of settings and labels: Student's interval over runs.",
    ),
    (
        "Two runs in the page",
        "Exact McNemar test on the tweets that just one has right, interval by Clopper and Pearson; of these two "
        "trained models, and not corrected for other pairs.",
    ),
    (
        "Self-attention",
        "Best epoch and overfitting gap are compared alike; the gap is training accuracy less whether each validation "
        "tweet is right, the best epoch varies between seeds only.",
    ),
    (
        "The linear baseline",
        "Logistic regression on TF-IDF of words, word pairs and 2 to 5 characters of a word, weighted by naive Bayes, "
        "and on what AFINN's rated words come to with negation; trained on the same tweets as the net.",
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
]


def methods(_findings: Findings) -> ReportSection:
    """The same for every report."""
    return ReportSection("Methods", [Facts(_METHODS)])
