"""What each number of a comparison is: its formula, and who it comes from."""

from collections import Counter
from collections.abc import Sequence

from lossbench.render.values import Table

__all__ = ["FORMULAS", "formulas"]

FORMULAS = {
    "mean": "mean over the seeds that have a value",
    "sd": "standard deviation over seeds, n - 1 in the denominator",
    "n": "runs that finished with a finite value",
    "gain": "mean over seeds of candidate minus baseline, turned so that positive is better",
    "low": "gain -+ t(0.975, n - 1) s_d / sqrt(n): interval of this contrast alone (Student 1908)",
    "high": "upper end of the same interval",
    "joint_low": "the same at 1 - alpha/m, so that the intervals of all m losses hold together (Bonferroni)",
    "joint_high": "upper end of the joint interval",
    "p": "two-sided paired t test: t = gain / (s_d / sqrt(n)), n - 1 degrees of freedom (Student 1908; Welch 1947)",
    "p_adjusted": "p after --correct: p_(j) (m - j + 1) and running maximum (Holm 1979), or Benjamini-Hochberg 1995",
    "flip_p": "share of the 2^n sign patterns of the differences at least as far from 0 (Fisher 1935); exact to n = 20",
    "flip_floor": "2 / 2^n: no p of the sign-flip test can be smaller with n pairs",
    "sd_difference": "s_d, standard deviation of the differences per seed",
    "hedges": "J gain / s_d with the small-sample factor J(n - 1) (Hedges 1981)",
    "superiority": "share of pairs of a candidate and a baseline run that the candidate wins (Bouthillier et al. 2021)",
    "correlation": "Pearson's r of the two columns: above 0, pairing by seed made the test sharper",
    "equivalence_p": "larger p of two one-sided t tests against +- the smallest effect that matters (Schuirmann 1987)",
    "detectable": "true difference that n pairs with this s_d see with 80 % power, noncentral t",
    "seeds_needed": "seeds that see the smallest effect that matters with 80 % power at this s_d",
    "seeds_low": "the same at the lower end of the 95 % interval of s_d, s_d sqrt(df / chi2)",
    "seeds_high": "the same at its upper end",
    "pooled_presets": "presets with 3 runs or more of both losses and an error of their own, which a weight needs",
    "pooled_gain": "random-effects mean of the presets' gains, tau^2 after DerSimonian & Laird 1986",
    "pooled_low": "its interval, t with k - 1 degrees of freedom and the floored error of Hartung & Knapp 2001",
    "pooled_high": "upper end of that interval",
    "pooled_p": "t test of the pooled gain with that error",
    "pooled_p_adjusted": "pooled p after --correct over the losses",
    "tau": "standard deviation of the true gains between presets",
    "i_squared": "share of the variation between presets that is not chance (Higgins & Thompson 2002)",
    "presets": "presets that have both losses",
    "plain_gain": "unweighted mean of the presets' gains",
    "plain_low": "interval of that mean from the spread of the gains between presets, t with k - 1 degrees of freedom",
    "plain_high": "upper end of that interval",
    "mean_over_presets": "unweighted mean over presets of the mean over seeds",
    "score": "mean over seeds of the validation rows' value, by which the setting was chosen",
    "tried": "settings of the tuned fields that the choice was made from",
    "tuning_runs": "runs of all those settings",
    "presets_better": "presets with a positive gain",
    "presets_worse": "presets with a negative gain",
    "wilcoxon_p": "signed-rank test over presets, exact with ties (Wilcoxon 1945)",
    "wilcoxon_adjusted": "the same after --correct over the losses",
    "wilcoxon_floor": "2 / 2^k: no p of the signed-rank test can be smaller with k presets",
    "mean_rank": "mean over presets of the rank, 1 is best, ties share their average (Friedman 1937; Demsar 2006)",
    "gained": "test rows only the candidate has right, in the first pair of runs",
    "lost": "test rows only the baseline has right",
    "mcnemar_p": "exact binomial p of those two counts (McNemar 1947)",
    "wins_shared": "presets on which no loss does better",
    "wins_outright": "presets on which every other loss does worse",
    "conover_p": "t test of its rank sum against the first one's after Friedman's test, not adjusted (Conover & Iman "
    "1979); beside losses that are far worse it calls equals different, so it decides nothing",
}
"""By column key."""

_OF_TABLES = {
    "diagram": (
        "Friedman chi-square: whether mean ranks differ more than by chance (Friedman 1937); its p by permutations "
        "within presets where these are few",
        "Iman-Davenport F: the same statistic as an F ratio, less conservative (Iman & Davenport 1980)",
        "Nemenyi distance: q(alpha, k) sqrt(k (k + 1) / 6N) for k losses on N presets (Demsar 2006)",
    ),
    "new_test_set": (
        "new seeds: se^2 = MS_seed / nS, S - 1 degrees of freedom: S other seeds, the same n test rows",
        "new test set: se^2 = (MS_row + max(0, MS_seed - MS_residual)) / nS (df: Satterthwaite 1946): other rows too",
        "if errors independent: se^2 = MS_residual / nS: as new test set, if no two runs err together",
    ),
}
"""What stands beside the columns, by the name of the table."""


def formulas(tables: Sequence[Table]) -> tuple[str, ...]:
    """One line per number that the tables show; the key tells those apart that share a title."""
    titles = {column.key: column.title for table in tables for column in table.columns if column.numeric}
    shared = Counter(titles.values())
    names = {key: f"{title} ({key})" if shared[title] > 1 else title for key, title in titles.items()}
    beside = [line for table in tables for line in _OF_TABLES.get(table.name, ())]
    return (*(f"{names[key]}: {text}" for key, text in FORMULAS.items() if key in names), *beside)
