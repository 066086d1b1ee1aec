"""What is no program of ours is refused before anything in it can run."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fourier.errors import ReleaseError
from fourier.release.program import load_program

WEIGHTS = "data/weights/model_weights_config.json"


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.mark,)


def rewritten(source: Path, target: Path, changes: dict[str, bytes]) -> Path:
    """The archive with some records replaced or added."""
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target, "w") as after:
        for info in before.infolist():
            name = info.filename.partition("/")[2]
            if name not in changes:
                after.writestr(info.filename, before.read(info))
        for name, data in changes.items():
            after.writestr(f"archive/{name}", data)
    return target


def record(path: Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read(f"archive/{name}")


def foreign_program(path: Path) -> None:
    torch.export.save(torch.export.export(torch.nn.Linear(2, 1), (torch.zeros(2, 2),)), path)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda _path: None, "cannot be read .No such file"),
        (lambda path: path.mkdir(), "cannot be read .Is a directory"),
        (lambda path: path.write_bytes(b""), "not a program that fourier exported"),
        (lambda path: path.write_text("RIFF"), "not a program that fourier exported"),
        (lambda path: path.write_bytes(pickle.dumps({})), "not a program that fourier exported"),
        (lambda path: torch.save({"a": torch.zeros(1)}, path), "not a program that fourier"),
        (foreign_program, "not a program that fourier exported"),
    ],
    ids=["missing", "folder", "empty", "audio", "pickle", "checkpoint", "foreign"],
)
def test_other_files_are_one_line(
    tmp_path: Path, write: Callable[[Path], None], message: str
) -> None:
    path = tmp_path / "model.pt2"
    write(path)
    with pytest.raises(ReleaseError, match=message) as caught:
        load_program(path)
    assert "\n" not in str(caught.value)


def test_a_flipped_byte_is_noticed(genre: Any, tmp_path: Path) -> None:
    data = bytearray(genre.path.read_bytes())
    with zipfile.ZipFile(genre.path) as archive:
        place = archive.getinfo("archive/data/weights/weight_0").header_offset + 200
    data[place] ^= 1
    (tmp_path / "a.pt2").write_bytes(data)
    with pytest.raises(ReleaseError, match=r"damaged at archive/data/weights/weight_0"):
        load_program(tmp_path / "a.pt2")


def test_a_cut_file_is_noticed(genre: Any, tmp_path: Path) -> None:
    (tmp_path / "a.pt2").write_bytes(genre.path.read_bytes()[:-100])
    with pytest.raises(ReleaseError, match="not a program"):
        load_program(tmp_path / "a.pt2")


def test_another_format_is_named(genre: Any, tmp_path: Path) -> None:
    about = json.loads(record(genre.path, "extra/fourier.json")) | {"format": 99}
    changes = {"extra/fourier.json": json.dumps(about).encode()}
    with pytest.raises(ReleaseError, match="format 99"):
        load_program(rewritten(genre.path, tmp_path / "a.pt2", changes))


def test_pickles_are_refused_and_not_run(genre: Any, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    trap = io.BytesIO()
    torch.save(Trap(mark), trap)
    config = json.loads(record(genre.path, WEIGHTS))
    first = next(iter(config["config"].values()))
    first["use_pickle"] = True
    pickled = {WEIGHTS: json.dumps(config).encode()}
    pickled[f"data/weights/{first['path_name']}"] = trap.getvalue()
    for case, changes in {
        "a weight": pickled,
        "an example": {"data/sample_inputs/model.pt": trap.getvalue()},
        "a custom object": {"data/constants/custom_obj_0": trap.getvalue()},
        "a library": {"data/aotinductor/model/a.so": b"\x7fELF"},
        "the old format": {"serialized_state_dict.pt": trap.getvalue()},
    }.items():
        path = rewritten(genre.path, tmp_path / f"{case}.pt2", changes)
        with pytest.raises(ReleaseError, match="which may run code"):
            load_program(path)
        assert not mark.exists(), case
    torch.load(io.BytesIO(trap.getvalue()), weights_only=False)
    assert mark.exists()  # it would have
