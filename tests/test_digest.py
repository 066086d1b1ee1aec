import hashlib

import pytest

from fourier.digest import digest_file, digest_of


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ([1, 2], [2, 1], False),
        ((1, 2), [1, 2], True),
        (1, 1.0, False),
        (None, "null", False),
    ],
)
def test_equal_values_and_only_they_have_equal_digests(one, other, same):
    assert (digest_of(one) == digest_of(other)) == same


def test_what_json_cannot_hold_has_no_digest():
    with pytest.raises(ValueError, match="JSON"):
        digest_of(float("nan"))
    with pytest.raises(TypeError):
        digest_of({1, 2})


def test_a_files_digest_is_that_of_its_bytes(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abc" * 100_000)
    assert digest_file(path) == hashlib.sha256(b"abc" * 100_000).hexdigest()[:16]
