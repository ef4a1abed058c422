"""A number with its standard error: what every t test of the bench comes down to."""

import math
from dataclasses import dataclass

from lossbench.stats.distributions import t_cdf, t_quantile

__all__ = ["Estimate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """An estimated mean whose standardised error follows Student's t.

        t = value / se,   p = P(|T_df| >= |t|),   interval = value +- t_{(1 + level)/2, df} * se

    A standard error of 0, or none for want of data (nan), leaves t and p undefined: they are nan.
    """

    value: float
    se: float
    df: float

    @property
    def t(self) -> float:
        """Student's statistic against a true value of 0."""
        return self.value / self.se if self.se > 0 else math.nan

    @property
    def p(self) -> float:
        """Two-sided probability of a value at least this far from 0 if the true value were 0."""
        return 2 * t_cdf(-abs(self.t), self.df)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Two-sided confidence interval of that level."""
        half = t_quantile((1 + level) / 2, self.df) * self.se
        return self.value - half, self.value + half

    def equivalence_p(self, margin: float) -> float:
        """The larger p of the two one-sided t tests that the true value lies within +- `margin` (Schuirmann 1987).

        Below 0.05 exactly when the 90 % interval lies inside the margin.
        """
        if not self.se > 0:
            return math.nan
        return t_cdf(-(margin - abs(self.value)) / self.se, self.df)
