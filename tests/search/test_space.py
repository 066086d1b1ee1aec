"""Search spaces, drawn from by hypothesis instead of a sampler: every draw is a legal trial."""

import json
import runpy
from pathlib import Path

import hypothesis.strategies as st
import optuna
import pytest
import torch
from hypothesis import given, settings
from optuna.distributions import CategoricalDistribution, IntDistribution

from fourier.config import TrialConfig
from fourier.models import build_model

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
RATES = {"deam": 44_100, "gtzan": 22_050}
SECONDS = {"deam": 5.0, "gtzan": 3.0}


class Chosen(optuna.samplers.BaseSampler):
    """Takes each value from hypothesis, which looks for the draw that breaks something."""

    def __init__(self, data):
        self.data = data

    def infer_relative_search_space(self, study, trial):
        return {}

    def sample_relative(self, study, trial, search_space):
        return {}

    def sample_independent(self, study, trial, param_name, param_distribution):
        asked = param_distribution
        if isinstance(asked, CategoricalDistribution):
            return self.data.draw(st.sampled_from(asked.choices))
        if isinstance(asked, IntDistribution):
            return self.data.draw(st.integers(asked.low, asked.high))
        if asked.step is None:
            return self.data.draw(st.floats(asked.low, asked.high))
        steps = round((asked.high - asked.low) / asked.step)
        return asked.low + asked.step * self.data.draw(st.integers(0, steps))


@pytest.fixture(scope="module", params=["deam", "gtzan"])
def task_and_suggest(request):
    script = runpy.run_path(str(EXPERIMENTS / f"sweep_{request.param}.py"))
    return request.param, script["suggest"]


@pytest.fixture(autouse=True)
def quiet():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


def test_any_draw_is_a_legal_trial_that_fits_its_corpus(task_and_suggest):
    task, suggest = task_and_suggest

    @given(data=st.data())
    @settings(max_examples=80, deadline=None, derandomize=True)
    def check(data):
        study = optuna.create_study(sampler=Chosen(data))
        config = suggest(study.ask())
        assert TrialConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
        heard = config.spectrogram
        assert heard.fmax <= RATES[task] / 2
        frames = 1 + int(RATES[task] * SECONDS[task]) // heard.hop_length
        with torch.device("meta"):  # shapes without numbers
            build_model(config.model, bands=heard.bands, frames=frames, outputs=2)

    check()
