"""What happened, in MLflow: runs, their pictures and the links to them."""

from fourier.tracking.runs import TrackedRun, Tracker, without_password

__all__ = ["TrackedRun", "Tracker", "without_password"]
