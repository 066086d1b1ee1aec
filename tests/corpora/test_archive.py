import io
import stat
import tarfile
import zipfile

import pytest

from fourier.corpora.archive import BadArchiveError, extract
from fourier.errors import DownloadError

FILES = {"genres/blues/blues.00000.au": b"twelve bars", "genres/a b [c]/ü.txt": b"", "top": b"x"}


def pack(path, files):
    """An honest archive, of the kind that the name says."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in files.items():
                packed.writestr(name, content)
        return path
    kind = path.name.partition(".tar")[2].lstrip(".")
    with tarfile.open(path, f"w:{kind}") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def tar_with(path, name, kind=tarfile.REGTYPE, link="", mode=0o644):
    """A tar of one honest file and one odd member."""
    with tarfile.open(path, "w:gz") as tar:
        for info in (tarfile.TarInfo("honest.txt"), tarfile.TarInfo(name)):
            info.mode = mode
            if info.name == name:
                info.type, info.linkname = kind, link
            info.size = 4 if info.isfile() else 0
            tar.addfile(info, io.BytesIO(b"evil") if info.isfile() else None)
    return path


def zip_with(path, name, mode=0o100644, flags=0):
    """A zip of one honest file and one odd member."""
    info = zipfile.ZipInfo("innocent")
    info.filename = name  # the constructor would mend it
    info.create_system, info.external_attr = 3, mode << 16
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("honest.txt", "four")
        packed.writestr(info, "../../evil")
    if flags:
        content = bytearray(path.read_bytes())
        entry = content.rindex(b"PK\x01\x02")
        content[entry + 8] |= flags
        path.write_bytes(content)
    return path


def tree(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*")}


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz", "a.zip"])
def test_an_archive_unpacks_to_the_files_that_were_packed(tmp_path, name):
    extract(pack(tmp_path / name, FILES), tmp_path / "deep" / "out")
    out = tmp_path / "deep" / "out"
    assert {p for p in tree(out) if (out / p).is_file()} == set(FILES)
    assert all((out / name).read_bytes() == content for name, content in FILES.items())
    assert tree(tmp_path / "deep") == {"out", *(f"out/{p}" for p in tree(out))}


OUTSIDE = ["../evil", "a/../../evil", "a/../evil", "/evil", "..", "..\\evil", "C:\\evil"]
HOSTILE_TARS = {
    **{f"named {name}": {"name": name} for name in OUTSIDE},
    "symbolic link": {"name": "link", "kind": tarfile.SYMTYPE, "link": "/etc"},
    "link inside": {"name": "link", "kind": tarfile.SYMTYPE, "link": "honest.txt"},
    "hard link": {"name": "link", "kind": tarfile.LNKTYPE, "link": "../outside.txt"},
    "character device": {"name": "null", "kind": tarfile.CHRTYPE},
    "block device": {"name": "disk", "kind": tarfile.BLKTYPE},
    "pipe": {"name": "pipe", "kind": tarfile.FIFOTYPE},
}
HOSTILE_ZIPS = {
    **{f"named {name}": {"name": name} for name in OUTSIDE},
    "symbolic link": {"name": "link", "mode": stat.S_IFLNK | 0o777},
    "device": {"name": "null", "mode": stat.S_IFCHR | 0o666},
    "encrypted": {"name": "secret", "flags": 1},
}


@pytest.mark.parametrize("odd", HOSTILE_TARS.values(), ids=HOSTILE_TARS)
def test_a_hostile_tar_leaves_nothing_anywhere(tmp_path, odd):
    check_refused(tmp_path, tar_with(tmp_path / "evil.tar.gz", **odd))


@pytest.mark.parametrize("odd", HOSTILE_ZIPS.values(), ids=HOSTILE_ZIPS)
def test_a_hostile_zip_leaves_nothing_anywhere(tmp_path, odd):
    check_refused(tmp_path, zip_with(tmp_path / "evil.zip", **odd))


def check_refused(folder, archive, reason="its member", **limits):
    (folder / "outside.txt").write_text("mine")
    before = tree(folder)
    with pytest.raises(BadArchiveError, match=reason):
        extract(archive, folder / "out", **limits)
    assert tree(folder) == before
    assert (folder / "outside.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["bomb.tar.gz", "bomb.zip"])
def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, name):
    archive = pack(tmp_path / name, {"zeros": bytes(3_000_001), "more": b"1"})
    assert archive.stat().st_size < 10_000
    check_refused(tmp_path, archive, "more than 3,000,000 bytes", most_bytes=3_000_000)
    extract(archive, tmp_path / "out", most_bytes=3_000_002)


@pytest.mark.parametrize("name", ["many.tar", "many.zip"])
def test_an_archive_of_too_many_files_is_refused(tmp_path, name):
    archive = pack(tmp_path / name, {str(i): b"" for i in range(11)})
    check_refused(tmp_path, archive, "more than 10 files", most_members=10)
    extract(archive, tmp_path / "out", most_members=11)


@pytest.mark.parametrize("second", ["twice", "twice/inside"])
def test_a_name_that_comes_twice_is_refused(tmp_path, second):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("twice"))
        tar.addfile(tarfile.TarInfo(second))
    check_refused(tmp_path, tmp_path / "a.tar", "twice")


@pytest.mark.parametrize("name", ["a.tar.gz", "a.zip"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "another kind", "empty"])
def test_a_damaged_archive_is_refused_whole(tmp_path, name, damage):
    noise = bytes((i * i * 31) % 251 for i in range(60_000))
    archive = pack(tmp_path / name, {"first": b"fine", "second": noise})
    content = bytearray(archive.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 0xFF
    archive.write_bytes(
        {"cut": content[: len(content) // 2], "another kind": b"<html>", "empty": b""}.get(
            damage, content
        )
    )
    check_refused(tmp_path, archive, "damaged")


def test_what_macos_adds_is_left_out(tmp_path):
    names = ("__MACOSX/a/._b.mp3", "a/._b.mp3", "a/.DS_Store", "a/b.mp3")
    extract(pack(tmp_path / "a.zip", dict.fromkeys(names, b"")), tmp_path / "out")
    assert tree(tmp_path / "out") == {"a", "a/b.mp3"}


def test_files_get_ordinary_permissions(tmp_path):
    extract(tar_with(tmp_path / "a.tar.gz", "tool", mode=0o6777), tmp_path / "out")
    mode = (tmp_path / "out" / "tool").stat().st_mode
    assert not mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IXUSR | stat.S_IWOTH)


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    archive = pack(tmp_path / "a.zip", FILES)
    (tmp_path / "out").mkdir()
    extract(archive, tmp_path / "out")  # empty: welcome
    before = tree(tmp_path)
    with pytest.raises(DownloadError, match="name another folder"):
        extract(archive, tmp_path / "out")
    assert tree(tmp_path) == before


def test_a_folder_that_cannot_be_made_is_not_the_archives_fault(tmp_path):
    archive = pack(tmp_path / "a.zip", FILES)
    with pytest.raises(DownloadError, match="name another folder") as caught:
        extract(archive, archive / "out")
    assert not isinstance(caught.value, BadArchiveError)
