import matplotlib.image
import numpy as np
import pytest

from fourier.tracking import draw_trial

GENRES = ["blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "reggae"]


@pytest.mark.parametrize("epochs", [1, 30])
@pytest.mark.parametrize("classes", [(), GENRES], ids=["numbers", "classes"])
@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e4])
def test_nothing_is_cut_off_at_the_edge_of_the_picture(classes, epochs, scale, tmp_path):
    rng = np.random.default_rng(0)
    truth = rng.integers(0, len(classes), 60) if classes else rng.uniform(-1, 1, (60, 2))
    path = tmp_path / "trial.png"
    draw_trial(
        path,
        title="trial 0007   crnn · 128 mels · 11.025 kHz · 2048/1024 · full_scale · standardize",
        history=[{"train_loss": scale / (i + 1), "score": -scale * i} for i in range(epochs)],
        objective="score",
        predictions=rng.standard_normal((60, len(classes) or 2)),
        truth=truth,
        targets=("label",) if classes else ("valence", "arousal"),
        classes=classes,
    )
    image = matplotlib.image.imread(path)[..., :3]
    assert image.shape[0] == 352
    edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    assert (edge == 1.0).all()
    assert image.min() < 0.5
