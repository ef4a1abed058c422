"""Binding a loss to its data: the only objects that hold learned knobs.

`Objective` serves one run; `CohortObjective` serves many runs of one program at once, whatever their losses.
"""

from lossbench.objective.cohort import CohortObjective, by_kind
from lossbench.objective.scores import Scores, Softmax
from lossbench.objective.single import Objective, Step, check

__all__ = ["CohortObjective", "Objective", "Scores", "Softmax", "Step", "by_kind", "check"]
