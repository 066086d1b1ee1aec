"""Where the cache lies, and files that appear whole or not at all."""

from pathlib import Path

import pytest

from fourier.errors import CacheError
from fourier.features.cache import (
    DamagedEntryError,
    cache_errors,
    default_cache,
    read_manifest,
    write_manifest,
    written_whole,
)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"FOURIER_CACHE": "/somewhere/else"}, "/somewhere/else"),
        ({"FOURIER_CACHE": "~/mine"}, "/home/me/mine"),
        ({"FOURIER_CACHE": "", "XDG_CACHE_HOME": "/xdg"}, "/xdg/fourier"),
        ({"FOURIER_CACHE": ""}, "/home/me/.cache/fourier"),
    ],
)
def test_the_cache_is_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert default_cache() == Path(expected)


def test_a_file_keeps_its_old_content_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(TypeError), written_whole(path) as file:
        file.writelines([b"new", None])
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a", "old")]
    with written_whole(path) as file:
        file.write(b"new")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a", "new")]


def test_a_manifest_comes_back_or_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    assert read_manifest(path) is None
    write_manifest(path, {"size": 5, "words": ["a"]})
    assert read_manifest(path) == {"size": 5, "words": ["a"]}
    path.write_text(path.read_text().replace("5", "6"))
    with pytest.raises(DamagedEntryError, match="was changed"):
        read_manifest(path)


def test_what_the_operating_system_refuses_is_one_line(tmp_path: Path) -> None:
    message = rf"^the cache {tmp_path} cannot be used \(No space left on device\): .*FOURIER_CACHE$"
    with pytest.raises(CacheError, match=message), cache_errors(tmp_path):
        Path("/dev/full").write_bytes(b"x")
