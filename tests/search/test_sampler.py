import json
import os
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from fourier.search import sampler
from fourier.search.sampler import fix_parameters, make_sampler, remembered

SPACE = {
    "x": optuna.distributions.FloatDistribution(0, 1),
    "kind": optuna.distributions.CategoricalDistribution(["a", "b"]),
}


def past(count, direction="maximize"):
    """A study of so many trials, the best of which were the first ten."""
    study = optuna.create_study(direction=direction)
    sign = 1 if direction == "maximize" else -1
    for i in range(count):
        state = TrialState.PRUNED if i % 3 == 2 else TrialState.COMPLETE
        params = {"x": (i * 0.37) % 1, "kind": "ab"[i % 2]}
        value = sign * (1.0 if i < 10 else 0.5 / (1 + i))
        study.add_trial(
            create_trial(
                params=params,
                distributions=SPACE,
                value=value if state == TrialState.COMPLETE else None,
                state=state,
                intermediate_values={0: value},
            )
        )
    return study


def drawn(study, chosen):
    study.sampler = chosen
    trial = study.ask()
    return trial.suggest_float("x", 0, 1), trial.suggest_categorical("kind", ["a", "b"])


def plain_tpe(seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return optuna.samplers.TPESampler(seed=seed, group=True, multivariate=True)


@pytest.mark.parametrize("count", [0, 9, 60, sampler.REMEMBERED - 1])
def test_as_long_as_all_trials_are_remembered_it_is_optunas_tpe_to_the_bit(count):
    assert drawn(past(count), make_sampler("tpe", 7)) == drawn(past(count), plain_tpe(7))


def test_it_is_so_while_other_workers_run_trials():
    def with_others(chosen):
        study = past(60)
        study.sampler = optuna.samplers.RandomSampler(seed=1)
        for _ in range(2):
            other = study.ask()
            other.suggest_float("x", 0, 1)
            other.suggest_categorical("kind", ["a", "b"])
        return drawn(study, chosen)

    assert with_others(make_sampler("tpe", 7)) == with_others(plain_tpe(7))


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_beyond_that_the_best_and_the_latest_are_remembered(direction):
    study = past(500, direction)
    running = study.ask().number
    kept = [trial.number for trial in remembered(study)]
    best = {i for i in range(10) if i % 3 != 2}
    assert best <= set(kept)
    assert running in kept
    assert len(kept) == sampler.REMEMBERED
    assert kept == sorted(kept)
    latest = [number for number in kept if number >= 400]
    assert latest == list(range(400, 501))


def test_a_long_study_is_still_learned_from():
    study = optuna.create_study(direction="maximize")
    for i in range(260):
        study.sampler = make_sampler("tpe", i)
        trial = study.ask()
        study.tell(trial, -((trial.suggest_float("x", 0, 1) - 0.3) ** 2))
    late = [trial.params["x"] for trial in study.trials[-30:]]
    assert sum(abs(x - 0.3) < 0.1 for x in late) > 20


def test_the_past_that_is_shown_is_not_the_study_that_is_written():
    study = past(300)
    drawn(study, make_sampler("tpe", 0))
    assert len(study.trials) == 301


def suggest_by_kind(trial, high=1.0):
    """A space in which each kind brings two parameters of its own, and what was drawn."""
    drawn = {"lr": trial.suggest_float("lr", 0, 1)}
    kind = drawn["kind"] = trial.suggest_categorical("kind", ["a", "b", "c"])
    for name in (f"{kind}.x", f"{kind}.y"):
        drawn[name] = trial.suggest_float(name, 0, high)
    return drawn | {"last": trial.suggest_float("last", 0, 1)}


def past_by_kind(count):
    """A study of that space, whose first trials are of kind a, then b, then c."""
    study = optuna.create_study(direction="maximize")
    study.sampler = optuna.samplers.RandomSampler(seed=3)
    for i in range(count):
        study.enqueue_trial({"kind": "abc"[i % 3]})
        trial = study.ask()
        study.tell(trial, sum(x for x in suggest_by_kind(trial).values() if not isinstance(x, str)))
    return study


class Groups(list):
    def __init__(self):
        self.shown = []


@pytest.fixture
def groups(monkeypatch):
    """The groups that TPE draws from now on; ``shown`` says from how many trials."""
    found = Groups()
    original = optuna.samplers.TPESampler._sample

    def recorded(self, study, trial, search_space):
        found.append(set(search_space))
        found.shown.append(len(study._get_trials(deepcopy=False)))
        return original(self, study, trial, search_space)

    monkeypatch.setattr(optuna.samplers.TPESampler, "_sample", recorded)
    return found


def ask_with(study, chosen):
    study.sampler = chosen
    return study.ask()


def drawn_by_kind(study, chosen, **options):
    return suggest_by_kind(ask_with(study, chosen), **options)


@pytest.mark.parametrize("seed", range(6))
def test_a_kinds_own_parameters_are_drawn_together_and_no_others(groups, seed):
    kind = drawn_by_kind(past_by_kind(40), make_sampler("tpe", seed))["kind"]
    assert groups == [{"lr", "kind", "last"}, {f"{kind}.x", f"{kind}.y"}]


@pytest.mark.parametrize("seed", range(6))
def test_the_kind_that_optuna_draws_first_is_drawn_as_by_optuna_to_the_bit(seed):
    def of_kind_a(chosen):
        return drawn_by_kind(past_by_kind(40), fix_parameters({"kind": "a"}, chosen))

    assert of_kind_a(make_sampler("tpe", seed)) == of_kind_a(plain_tpe(seed))


def test_a_kind_that_was_never_drawn_is_drawn_parameter_by_parameter_as_by_optuna(groups):
    def ours_and_groups(chosen):
        study = past_by_kind(0)
        for i in range(20):
            study.enqueue_trial({"kind": "ab"[i % 2]})
            trial = study.ask()
            suggest_by_kind(trial)
            study.tell(trial, float(i))
        groups.clear()
        study.sampler = fix_parameters({"kind": "c"}, chosen)
        return set(suggest_by_kind(study.ask())), groups[-2:]

    alone = ({"lr", "kind", "c.x", "c.y", "last"}, [{"c.x"}, {"c.y"}])
    assert ours_and_groups(make_sampler("tpe", 0)) == alone
    assert ours_and_groups(plain_tpe(0)) == alone


def test_a_fixed_parameter_of_a_kind_is_not_drawn(groups):
    chosen = fix_parameters({"kind": "b", "b.x": 0.25}, make_sampler("tpe", 0))
    assert drawn_by_kind(past_by_kind(40), chosen)["b.x"] == 0.25
    assert groups == [{"lr", "last"}, {"b.y"}]


@pytest.mark.parametrize("seed", range(4))
def test_a_kinds_parameter_with_a_wider_range_than_before_is_drawn_as_by_optuna(seed):
    def of_kind_a(chosen):
        chosen = fix_parameters({"kind": "a"}, chosen)
        return drawn_by_kind(past_by_kind(40), chosen, high=9.0)

    assert of_kind_a(make_sampler("tpe", seed)) == of_kind_a(plain_tpe(seed))


def test_a_kinds_parameter_with_a_narrower_range_than_before_is_drawn_within_it(groups):
    for seed in range(9):
        chosen = fix_parameters({"kind": "a"}, make_sampler("tpe", seed))
        assert drawn_by_kind(past_by_kind(40), chosen, high=0.3)["a.x"] <= 0.3
    assert {"a.x"} in groups, "of no seed the value was without"


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("make", [lambda seed: make_sampler("tpe", seed), plain_tpe])
def test_a_kinds_parameter_without_a_choice_that_it_had_is_refused_as_by_optuna(make, seed):
    study = optuna.create_study()
    for i in range(30):
        trial = study.ask({"kind": SPACE["kind"]})
        trial.suggest_categorical(f"{trial.params['kind']}.width", [1, 2, 3])
        study.tell(trial, float(i))
    trial = ask_with(study, make(seed))
    kind = trial.suggest_categorical("kind", ["a", "b"])
    with pytest.raises(ValueError, match="dynamic value space"):
        trial.suggest_categorical(f"{kind}.width", [1, 2])


def test_a_sampler_that_is_used_again_draws_again():
    study, chosen = past_by_kind(40), fix_parameters({"kind": "a"}, make_sampler("tpe", 0))
    assert drawn_by_kind(study, chosen)["a.x"] != drawn_by_kind(study, chosen)["a.x"]


def test_however_it_is_drawn_the_past_that_is_shown_is_bounded(groups):
    drawn_by_kind(past_by_kind(300), make_sampler("tpe", 0))
    study = past_by_kind(300)
    trial = ask_with(study, make_sampler("tpe", 0))
    trial.suggest_float("never seen", 0, 1)
    assert len(groups.shown) == 4
    assert max(groups.shown) == sampler.REMEMBERED


def test_other_workers_are_told_what_all_kinds_have_and_nothing_of_kinds_that_were_not_chosen():
    study = past_by_kind(40)
    trial = ask_with(study, make_sampler("tpe", 0))
    drawn = suggest_by_kind(trial)
    (told,) = study.trials[-1].system_attrs.values()
    assert json.loads(told) == {name: drawn[name] for name in ("lr", "kind", "last")}


def test_a_trial_that_has_drawn_half_of_its_parameters_is_of_no_kind(groups):
    study = past_by_kind(40)
    half = ask_with(study, optuna.samplers.RandomSampler(seed=0))
    half.suggest_float("lr", 0, 1)
    kind = drawn_by_kind(study, make_sampler("tpe", 0))["kind"]
    assert groups == [{"lr", "kind", "last"}, {f"{kind}.x", f"{kind}.y"}]


def test_what_is_drawn_does_not_hang_on_the_order_of_hashes():
    script = f"""
        import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_sampler as t
        print(t.drawn_by_kind(t.past_by_kind(40), t.make_sampler("tpe", 5)))
    """
    run = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)]
    printed = {
        subprocess.run(
            run, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(printed) == 1


def test_what_a_kind_needs_is_learned_from_its_own_trials():
    study = optuna.create_study(direction="maximize")
    best = {"a": 0.2, "b": 0.8, "c": 0.5}
    for i in range(150):
        study.sampler = make_sampler("tpe", i)
        trial = study.ask()
        drawn = suggest_by_kind(trial)
        kind = drawn["kind"]
        study.tell(trial, -sum((drawn[f"{kind}.{name}"] - best[kind]) ** 2 for name in "xy"))
    late = [trial.params for trial in study.trials[-50:]]
    away = [abs(params[f"{params['kind']}.x"] - best[params["kind"]]) for params in late]
    assert sum(distance < 0.1 for distance in away) > 35
