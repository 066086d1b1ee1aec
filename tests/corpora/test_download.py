import contextlib
import dataclasses
import hashlib
import io
import socket
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from filelock import FileLock

from fourier.corpora.download import SOURCES, Archive, fetch
from fourier.corpora.gtzan import GENRES
from fourier.corpora.transfer import transfer
from fourier.errors import DownloadError

CONTENT = bytes((i * i * 31 + i // 251) % 256 for i in range(700_000))
AGAIN = "type the same command again to resume"


@dataclasses.dataclass
class Shop:
    """What a server offers, how it behaves, and what it was asked."""

    files: dict[str, bytes]
    ranges: bool = True
    etag: str | None = '"one"'
    modified: str | None = None
    heeds_if_range: bool = True
    shift: int = 0
    breaks_after: int | None = None
    silent: bool = False
    claims: int | None = None
    url: str = ""
    asked: list[tuple[str, str | None]] = dataclasses.field(default_factory=list)
    statuses: list[int] = dataclasses.field(default_factory=list)


class Keeper(BaseHTTPRequestHandler):
    shop: Shop

    def do_GET(self):
        shop, wanted = self.shop, self.headers.get("Range")
        shop.asked.append((self.path, wanted))
        content = shop.files.get(self.path.lstrip("/"))
        if content is None:
            self.send_error(404)
            return
        start = self.first_byte()
        if start is not None and start >= len(content):
            self.send_response(416)
            self.end_headers()
            return
        self.shop.statuses.append(200 if start is None else 206)
        self.send_response(shop.statuses[-1])
        if start is not None:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        for name, value in (("ETag", shop.etag), ("Last-Modified", shop.modified)):
            if value is not None:
                self.send_header(name, value)
        body = content[start or 0 :]
        self.send_header("Content-Length", str(shop.claims or len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # the other side may give up
            self.wfile.write(body[: shop.breaks_after])
            if shop.silent:
                self.connection.recv(1)

    def first_byte(self):
        """Where an answer to a range starts; None for the whole file."""
        wanted, condition = self.headers.get("Range"), self.headers.get("If-Range")
        if not self.shop.ranges or wanted is None:
            return None
        strong = [tag for tag in (self.shop.etag, self.shop.modified) if tag and tag[:2] != "W/"]
        if self.shop.heeds_if_range and condition is not None and condition not in strong:
            return None
        return int(wanted.removeprefix("bytes=").rstrip("-")) + self.shop.shift

    def log_message(self, format, *args):  # noqa: A002 (named so by the base class)
        pass


@pytest.fixture
def shop():
    """A real server on a free port, with one file."""
    shop = Shop({"file.bin": CONTENT})
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Keeper,), {"shop": shop}))
    shop.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield shop
    server.shutdown()
    server.server_close()
    thread.join()


def get(shop, target, progress=None):
    transfer((shop.url + "file.bin",), target, progress, silence_seconds=5)


def broken_off(shop, target, after=300_000):
    """The first attempt at a file, which ends in the middle."""
    shop.breaks_after = after
    with pytest.raises(DownloadError, match=AGAIN):
        get(shop, target)
    assert not target.exists()
    shop.breaks_after = None


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_a_file_arrives_whole_with_nothing_beside_it(shop, tmp_path):
    steps = []
    get(shop, tmp_path / "file.bin", lambda done, total: steps.append((done, total)))
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert names(tmp_path) == {"file.bin"}
    assert steps == sorted(steps)
    assert steps[-1] == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize(
    "versions",
    [
        {},
        {"etag": None, "modified": "Sun, 06 Nov 1994 08:49:37 GMT"},
        {"etag": 'W/"weak"', "modified": "Sun, 06 Nov 1994 08:49:37 GMT"},
        {"etag": 'W/"weak"'},
        {"etag": None},
    ],
)
def test_a_broken_transfer_goes_on_where_it_broke_off(shop, tmp_path, versions):
    for name, value in versions.items():
        setattr(shop, name, value)
    target, steps = tmp_path / "file.bin", []
    broken_off(shop, target)
    broken_off(shop, target, after=100_000)
    get(shop, target, lambda done, total: steps.append((done, total)))
    assert target.read_bytes() == CONTENT
    assert [wanted for _, wanted in shop.asked] == [None, "bytes=300000-", "bytes=400000-"]
    assert shop.statuses == [200, 206, 206]
    assert steps[0] > (400_000, 0)
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    assert names(tmp_path) == {"file.bin"}


@pytest.mark.parametrize("after", [0, 1, 699_999])
def test_the_message_of_a_broken_transfer_says_how_far_it_came(shop, tmp_path, after):
    shop.breaks_after = after
    with pytest.raises(DownloadError, match=rf"after {after:,} of 700,000 bytes.*{AGAIN}$"):
        get(shop, tmp_path / "file.bin")


def test_a_server_without_ranges_starts_over(shop, tmp_path):
    shop.ranges = False
    broken_off(shop, tmp_path / "file.bin")
    get(shop, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "change",
    [
        {"etag": '"two"'},
        {"etag": '"two"', "heeds_if_range": False},
        {"etag": None, "modified": "Mon, 07 Nov 1994 08:49:37 GMT"},
        {"files": {"file.bin": CONTENT[::-1] + b"longer"}, "heeds_if_range": False},
        {"files": {"file.bin": b"much shorter"}, "heeds_if_range": False},
    ],
)
def test_a_file_that_changed_meanwhile_is_never_glued_to_its_beginning(shop, tmp_path, change):
    broken_off(shop, tmp_path / "file.bin")
    shop.files = {"file.bin": CONTENT[::-1]}
    for name, value in change.items():
        setattr(shop, name, value)
    get(shop, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == shop.files["file.bin"]


def test_a_server_that_heeds_if_range_is_asked_once_about_a_changed_file(shop, tmp_path):
    broken_off(shop, tmp_path / "file.bin")
    shop.files, shop.etag = {"file.bin": CONTENT[::-1]}, '"two"'
    get(shop, tmp_path / "file.bin")
    assert shop.statuses == [200, 200]


def test_a_server_that_goes_on_elsewhere_is_not_believed(shop, tmp_path):
    broken_off(shop, tmp_path / "file.bin")
    shop.shift = -7
    get(shop, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


NOTES = [None, "", "[]", '{"size": "no"}', '{"size": 1, "etag": null, "modified": null}']


@pytest.mark.parametrize("notes", NOTES)
def test_a_part_that_cannot_be_trusted_starts_over(shop, tmp_path, notes):
    (tmp_path / "file.bin.part").write_bytes(b"from elsewhere")
    if notes is not None:
        (tmp_path / "file.bin.part.json").write_text(notes)
    get(shop, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_part_that_is_whole_already_asks_for_nothing(shop, tmp_path):
    target = tmp_path / "file.bin"
    broken_off(shop, target)
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    get(shop, target)
    assert target.read_bytes() == CONTENT
    assert len(shop.asked) == 1


def test_a_server_that_falls_silent_is_given_up(shop, tmp_path):
    shop.breaks_after, shop.silent = 200_000, True
    with pytest.raises(DownloadError, match=f"200,000 of 700,000 bytes .*timed out.*{AGAIN}"):
        transfer((shop.url + "file.bin",), tmp_path / "file.bin", silence_seconds=0.3)


def test_what_does_not_fit_on_the_disk_is_not_begun(shop, tmp_path):
    shop.claims = 10**18
    with pytest.raises(DownloadError, match="needs 2,000,000,000.0 GB.*free some space"):
        get(shop, tmp_path / "file.bin")
    assert names(tmp_path) == set()


def test_the_next_address_is_asked_when_one_has_nothing(shop, tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens there
        nobody = f"https://127.0.0.1:{closed.getsockname()[1]}/file.bin"
        urls = (nobody, shop.url + "missing.bin", shop.url + "file.bin")
        transfer(urls, tmp_path / "file.bin")
        assert (tmp_path / "file.bin").read_bytes() == CONTENT
        with pytest.raises(DownloadError, match="does not answer.*Connection refused"):
            transfer((nobody,), tmp_path / "other.bin")
    with pytest.raises(DownloadError, match="answers 404"):
        transfer((shop.url + "missing.bin",), tmp_path / "other.bin")


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://host/file", "host/file"])
def test_only_web_addresses_are_opened(tmp_path, url):
    with pytest.raises(ValueError, match="must begin with http"):
        transfer((url,), tmp_path / "file")


def gtzan_tar(tracks=2):
    """A GTZAN of a few bytes, packed as the original is."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for genre in GENRES:
            for number in range(tracks):
                info = tarfile.TarInfo(f"genres/{genre}/{genre}.{number:05d}.au")
                info.size = 4
                tar.addfile(info, io.BytesIO(b".snd"))
    return packed.getvalue()


def zipped(files):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def deam_zips(songs, heard, wrap=False):
    """A DEAM of a few bytes, packed as the original is, or in one more folder."""
    head = ",".join(["song_id", *(f"sample_{15000 + 500 * i}ms" for i in range(61))])
    table = "\n".join([head, *(",".join([str(s), *["0.1"] * 61]) for s in songs)])
    place = "annotations/annotations averaged per song/dynamic (per second annotations)/"
    notes = {f"{place}{name}.csv": table for name in ("arousal", "valence")}
    audio = {f"MEMD_audio/{song}.mp3": b"ID3" for song in heard}
    return {
        f"{name}.zip": zipped({(f"{name}/" if wrap else "") + k: v for k, v in files.items()})
        for name, files in (("DEAM_Annotations", notes), ("DEAM_audio", audio))
    }


def gtzan_source(content, tracks=20):
    digest = hashlib.sha256(content).hexdigest()
    archives = (Archive("genres.tar.gz", "", digest),)
    return dataclasses.replace(SOURCES["gtzan"], archives=archives, tracks=tracks)


@pytest.fixture
def gtzan(shop):
    """A server that has GTZAN, and how to fetch it."""
    shop.files = {"genres.tar.gz": gtzan_tar()}
    source = gtzan_source(shop.files["genres.tar.gz"])
    return lambda folder: fetch("gtzan", folder, base_url=shop.url, source=source)


@pytest.fixture
def deam(shop):
    source = dataclasses.replace(SOURCES["deam"], tracks=3)
    return lambda folder: fetch("deam", folder, base_url=shop.url, source=source)


def test_gtzan_is_fetched_once(gtzan, shop, tmp_path):
    assert gtzan(tmp_path / "data") == tmp_path / "data" / "gtzan"
    assert names(tmp_path / "data") == {"gtzan"}
    assert (tmp_path / "data/gtzan/genres/jazz/jazz.00001.au").read_bytes() == b".snd"
    asked = list(shop.asked)
    assert gtzan(tmp_path / "data") == tmp_path / "data" / "gtzan"
    assert shop.asked == asked == [("/genres.tar.gz", None)]


@pytest.mark.parametrize("wrap", [False, True])
def test_deam_is_fetched_into_the_layout_that_people_have(deam, shop, tmp_path, wrap):
    shop.files = deam_zips([2, 3, 2058], [2, 3, 2058], wrap)
    root = deam(tmp_path)
    assert (root / "DEAM_audio/MEMD_audio/2058.mp3").is_file()
    averaged = root / "DEAM_Annotations/annotations/annotations averaged per song"
    assert (averaged / "dynamic (per second annotations)/valence.csv").is_file()
    assert names(tmp_path) == {"deam"}


def test_a_fetch_that_broke_off_is_resumed_by_the_same_call(gtzan, shop, tmp_path):
    shop.breaks_after = 100
    with pytest.raises(DownloadError, match=AGAIN):
        gtzan(tmp_path)
    assert names(tmp_path) == {"gtzan.download"}
    shop.breaks_after = None
    gtzan(tmp_path)
    assert shop.asked[-1][1] == "bytes=100-"
    assert names(tmp_path) == {"gtzan"}


def test_a_wrong_checksum_removes_the_file(gtzan, shop, tmp_path):
    right = shop.files["genres.tar.gz"]
    shop.files = {"genres.tar.gz": gtzan_tar(tracks=1)}
    with pytest.raises(DownloadError, match=r"SHA-256.*removed: type the same command again"):
        gtzan(tmp_path)
    assert not list(tmp_path.rglob("genres*"))
    shop.files = {"genres.tar.gz": right}
    gtzan(tmp_path)
    assert names(tmp_path) == {"gtzan"}


@pytest.mark.parametrize(
    ("songs", "heard", "reason"),
    [
        ([2, 3], [2, 3], "2 of 3 tracks"),
        ([2, 3, 4], [2, 4], "2 of 3 tracks"),
        ([2, 3, 4], [5], "of none both"),
        ([2, 3, 4, 5], [2, 3, 4, 5], "4 of 3 tracks"),
    ],
)
def test_deam_is_verified_by_what_it_holds(deam, shop, tmp_path, songs, heard, reason):
    shop.files = deam_zips(songs, heard)
    with pytest.raises(DownloadError, match=f"{reason}.*same command again"):
        deam(tmp_path)
    assert not (tmp_path / "deam").exists()
    shop.files, shop.etag = deam_zips([2, 3, 4], [2, 3, 4]), '"mended"'
    deam(tmp_path)
    assert names(tmp_path) == {"deam"}


def test_a_damaged_archive_is_removed_and_fetched_anew(deam, shop, tmp_path):
    whole = deam_zips([2, 3, 4], [2, 3, 4])
    shop.files = whole | {"DEAM_audio.zip": whole["DEAM_audio.zip"][:-30]}
    with pytest.raises(DownloadError, match="damaged"):
        deam(tmp_path)
    shop.files = whole
    deam(tmp_path)
    assert [path for path, _ in shop.asked].count("/DEAM_Annotations.zip") == 1
    assert names(tmp_path) == {"deam"}


def test_a_hostile_archive_lands_nowhere(deam, shop, tmp_path):
    evil = zipped({"MEMD_audio/2.mp3": b"", "../../../evil": b""})
    shop.files = deam_zips([2, 3, 4], [2, 3, 4]) | {"DEAM_audio.zip": evil}
    with pytest.raises(DownloadError, match="outside the folder"):
        deam(tmp_path / "a" / "b" / "data")
    assert not list(tmp_path.rglob("evil"))
    assert not (tmp_path / "a/b/data/deam").exists()


@pytest.mark.parametrize("what", ["mine.txt", "genres/jazz/jazz.00000.au"])
def test_what_is_there_and_not_the_corpus_is_left_alone(gtzan, shop, tmp_path, what):
    mine = tmp_path / "gtzan" / what
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(DownloadError, match="move it away or name another folder"):
        gtzan(tmp_path)
    assert mine.read_text() == "mine"
    assert names(tmp_path) == {"gtzan"}
    assert shop.asked == []


def test_two_at_once_do_not_share_a_part(gtzan, tmp_path):
    (tmp_path / "gtzan.download").mkdir()
    lock = FileLock(tmp_path / "gtzan.download" / "lock")
    with lock, pytest.raises(DownloadError, match="another process is fetching"):
        gtzan(tmp_path)
    gtzan(tmp_path)


def test_what_a_killed_fetch_left_is_cleared_away(gtzan, tmp_path):
    left = tmp_path / "gtzan.download" / ".unpacked" / "genres" / "jazz"
    left.mkdir(parents=True)
    (left / "jazz.00000.au").write_bytes(b"half")
    gtzan(tmp_path)
    assert (tmp_path / "gtzan/genres/jazz/jazz.00000.au").read_bytes() == b".snd"
    assert names(tmp_path) == {"gtzan"}


def test_a_folder_that_cannot_be_written_is_said_so(gtzan, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError, match="name another folder"):
        gtzan(tmp_path / "file")


def test_only_known_corpora_are_fetched(tmp_path):
    with pytest.raises(ValueError, match="`task` must be one of"):
        fetch("imagenet", tmp_path)
