"""fourier finds the best way to hear emotion and genre in music.

Optuna studies search over spectrogram parameters and network architectures; every trial trains
on cached features and is a run in MLflow. The package is a row of rooms through which data flows
one way: corpora, features, models, training, tracking, search, release. Nothing is imported here,
so that ``import fourier`` costs nothing.
"""

__version__ = "0.1.0"
