"""Many runs of one small network, trained as one program."""

from lossbench.cohort.cohort import Cohort
from lossbench.cohort.planning import LARGEST, accepts, plan

__all__ = ["LARGEST", "Cohort", "accepts", "plan"]
