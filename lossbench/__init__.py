"""lossbench: does a classification loss beat the baseline?"""

__all__ = ["__version__"]

__version__ = "0.1.0"
