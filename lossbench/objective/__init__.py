"""Binding a loss to its data: the only objects that hold learned knobs.

`Objective` serves one run; `CohortObjective` serves many runs of one program at once, whatever their losses.
"""

from lossbench.objective._kinds import Kinds
from lossbench.objective.cohort import CohortObjective
from lossbench.objective.scores import Scores
from lossbench.objective.single import Objective, Step, check

__all__ = ["CohortObjective", "Kinds", "Objective", "Scores", "Step", "check"]
