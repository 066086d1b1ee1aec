"""Both mel scales, beside librosa's."""

import ast
from pathlib import Path

import librosa
import numpy as np
import pytest

import fourier.scratch
from fourier.scratch import htk_hz, htk_mel, slaney_hz, slaney_mel

HZ = np.concatenate([[0.0, 1e-6], np.geomspace(0.1, 48_000, 500), [999.999, 1000.0, 1000.001]])
SCALES = {"htk": (htk_mel, htk_hz, True), "slaney": (slaney_mel, slaney_hz, False)}


@pytest.mark.parametrize(("to_mel", "to_hz", "htk"), SCALES.values(), ids=SCALES)
def test_mel_is_librosas_and_its_inverse_leads_back(to_mel, to_hz, htk):
    mel = to_mel(HZ)
    np.testing.assert_allclose(mel, librosa.hz_to_mel(HZ, htk=htk), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(to_hz(mel), librosa.mel_to_hz(mel, htk=htk), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(to_hz(mel), HZ, rtol=1e-9, atol=1e-9)
    assert (np.diff(to_mel(np.sort(HZ))) > 0).all()


def test_the_figures_that_everybody_knows():
    assert htk_mel(1000) == pytest.approx(1000, abs=0.02)
    assert htk_mel(700) == pytest.approx(2595 * np.log10(2))
    assert slaney_mel([500, 1000, 6400]).tolist() == pytest.approx([7.5, 15, 42])
    assert htk_mel([[0.0, 1.0]]).shape == (1, 2)


@pytest.mark.parametrize("convert", [htk_mel, htk_hz, slaney_mel, slaney_hz])
@pytest.mark.parametrize("value", [-1.0, float("nan")])
def test_what_is_below_zero_or_no_number_is_refused(convert, value):
    with pytest.raises(ValueError, match=">= 0` must hold"):
        convert([1.0, value])


def test_the_room_needs_nothing_but_numpy():
    allowed = {"numpy", "math", "collections", "dataclasses", "itertools"}
    files = sorted(Path(fourier.scratch.__file__).parent.glob("*.py"))
    assert len(files) == 4
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            for name in names:
                assert name.startswith("fourier.scratch.") or name.split(".")[0] in allowed, path
