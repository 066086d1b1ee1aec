import base64

import pytest

from fourier.shown import one_line, without_password


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Björk – 日本 (live) [2002] 'a' \"b\" $c$", "Björk – 日本 (live) [2002] 'a' \"b\" $c$"),
        ("a\nb\rc\td", r"a\nb\rc\td"),
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("gnp.\u202e3pm", r"gnp.\u202e3pm"),
        ("bytes \udcff", r"bytes \udcff"),
    ],
)
def test_what_would_break_a_line_or_move_the_cursor_is_written_out(text, shown):
    assert one_line(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer hunter2hunter2",
        "{'Authorization': 'Basic aHVudGVyMmh1bnRlcjI='}",
        "sent Bearer hunter2hunter2 to it",
        "postgresql://ann:hunter2hunter2@db/x",
        "redis://:hunter2hunter2@db/0",
        "https://h/a?X-Amz-Security-Token=hunter2hunter2&b=1",
        "--storage=sqlite:///a?password=hunter2hunter2",
        'AWS_SECRET_ACCESS_KEY="" or AWS_SECRET_ACCESS_KEY=hunter2hunter2',
        '{"access_token": "hunter2hunter2", "a": 1}',
        "{'client_secret': 'hunter2hunter2'}",
    ],
)
def test_what_looks_like_a_secret_is_not_shown(text):
    shown = without_password(text, {})
    assert "hunter2" not in shown
    assert "aHVudGVyM" not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    "text",
    [
        "token 3 of 4 was not expected",
        "trial 3 of study 'tokens'",
        "python experiments/sweep_deam.py --data 'music: a=b' --trials 3",
        "sqlite:////home/ann/mlflow.db",
        "http://127.0.0.1:5000/#/experiments/1?a=b",
        "ann@example.org wrote to http://example.org/a",
    ],
)
def test_other_texts_stay_as_they_are(text):
    assert without_password(text, {}) == text


@pytest.mark.parametrize(
    ("name", "value", "leaked"),
    [
        ("MLFLOW_TRACKING_TOKEN", "abc.def-123", "abc.def-123"),
        ("AWS_SECRET_ACCESS_KEY", "wJalr/XUtn", "wJalr/XUtn"),
        ("STORE", "postgresql://ann:p%40ss%2Fword@db/x", "p@ss/word"),
        ("STORE", "http://ann:p%40ssword@db", base64.b64encode(b"ann:p@ssword").decode()),
        ("MLFLOW_TRACKING_PASSWORD", "open sesame", "open sesame"),
    ],
)
def test_secrets_of_the_environment_are_not_shown_wherever_they_stand(name, value, leaked):
    assert leaked not in without_password(f"the server said {leaked!r} to us", {name: value})


def test_a_variable_that_holds_no_secret_blots_nothing_out():
    assert without_password("1 of 12 trials", {"TOKEN": "1", "PASSWORD": ""}) == "1 of 12 trials"
