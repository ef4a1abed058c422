"""Many runs of one small network, trained as one program."""

from lossbench.cohort.planning import LARGEST, accepts, plan, widths

__all__ = ["LARGEST", "accepts", "plan", "widths"]
