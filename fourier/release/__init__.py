"""The best model, for use: `load_champion("deam").predict("song.mp3")`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fourier.release.predict import Predictor

__all__ = ["load_champion"]


def load_champion(task: str) -> "Predictor":
    """The model in use for a task, from the registry that MLflow's settings name.

    Args:
        task: ``deam`` or ``gtzan``; ``deam-demo`` for what was promoted on the demo corpus.

    Raises:
        ReleaseError: there is none, or it cannot be read.
        TrackingError: the registry does not answer.
    """
    from fourier.release.locate import champion_of, load_predictor

    return load_predictor(champion_of(task))
