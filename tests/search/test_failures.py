import pytest

from fourier.errors import TrialsError
from fourier.search.failures import Failures, require_a_result, same_reason
from fourier.search.watch import Outcome


def outcomes(*reasons):
    return [
        Outcome(number=i, slot=i, state="failed" if reason else "complete", reason=reason)
        for i, reason in enumerate(reasons)
    ]


SAME = {
    "nothing": ([], None),
    "one good": ([""], None),
    "one bad": (["ValueError: x"], "ValueError: x"),
    "other numbers": (["TooLong: no end after 1e-3 s", "TooLong: no end after 20.5 s"], True),
    "other words": (["ValueError: x", "ValueError: y"], None),
    "a good one among them": (["ValueError: x", "", "ValueError: x"], None),
}


@pytest.mark.parametrize(("reasons", "same"), SAME.values(), ids=SAME)
def test_failures_are_the_same_if_only_their_numbers_differ(reasons, same):
    assert same_reason(outcomes(*reasons)) == (reasons[0] if same else None)


@pytest.mark.parametrize("good", [None, 0, 4, 5])
def test_five_failures_of_one_kind_at_the_beginning_are_enough(good):
    failures = Failures()
    for outcome in outcomes(*("" if i == good else "ValueError: x" for i in range(9)))[:4]:
        failures.note(outcome)
    rest = outcomes(*("" if i == good else "ValueError: x" for i in range(9)))[4:]
    if good in (0, 4):
        for outcome in rest:
            failures.note(outcome)
    else:
        with pytest.raises(TrialsError, match="the first 5 trials failed in the same way: Val"):
            failures.note(rest[0])


def test_a_study_without_a_result_is_no_success():
    require_a_result([])
    require_a_result(outcomes("ValueError: x", ""))
    with pytest.raises(TrialsError, match="the trial failed: ValueError: x"):
        require_a_result(outcomes("ValueError: x"))
