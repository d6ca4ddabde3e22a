"""The cache and the download, against a server on this machine."""

import hashlib
import http.server
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks.datasets import ChecksumError, Dataset, load_dataset
from benchmarks.datasets.download import CERTIFICATES
from benchmarks.datasets.sources import ARCHIVE_NAME, OFFICIAL, Download

from .test_archive import archive
from .test_batches import batch, rows_of

ROWS = {number: rows_of(4, seed=number) for number in range(1, 6)}
ARCHIVE = archive(
    *((f"cifar-10-batches-py/data_batch_{n}", batch(rows, [n] * 4)) for n, rows in ROWS.items())
)
SHA256 = hashlib.sha256(ARCHIVE).hexdigest()


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers by the first part of the path, and remembers what it was asked."""

    def do_GET(self) -> None:
        assert isinstance(self.server, _Server)
        answer = self.path.split("/")[1]
        self.server.asked.append(answer)
        body = {"good": ARCHIVE, "half": ARCHIVE, "wrong": b"<html>please log in</html>"}.get(
            answer
        )
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if answer == "half" else body)

    def log_message(self, *arguments: object) -> None:
        """Keep the tests' output clean."""


class _Server(http.server.ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []

    def download(self, *answers: str) -> Download:
        sources = (f"http://127.0.0.1:{self.server_port}/{answer}/x.tar.gz" for answer in answers)
        return Download(tuple(sources), SHA256)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Server]:
    # A proxy of the machine's must not come between this machine and itself.
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with _Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def unreachable() -> Download:
    with _Server() as closed_at_once:
        return closed_at_once.download("good", "good")


def assert_is_the_archive(loaded: Dataset) -> None:
    assert loaded.name == "cifar10"
    assert loaded.identity == f"cifar10-{SHA256[:12]}"
    assert loaded.note == ""
    assert loaded.labels.tolist() == [n for n in range(1, 6) for _ in range(4)]
    np.testing.assert_array_equal(
        loaded.images[..., 2].reshape(20, 1024),
        np.concatenate([ROWS[n] for n in range(1, 6)])[:, 2048:],
    )


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


@pytest.mark.parametrize(
    "answers",
    [
        ["good"],
        ["missing", "good"],
        ["wrong", "good"],
        ["half", "good"],
        ["missing", "half", "wrong", "good", "never"],
    ],
    ids="-".join,
)
def test_the_first_source_that_delivers_the_archive_is_used(
    tmp_path: Path, server: _Server, answers: list[str]
) -> None:
    cache = tmp_path / "not" / "there yet"
    loaded = load_dataset(cache_dir=cache, download=server.download(*answers))
    assert_is_the_archive(loaded)
    assert server.asked == [answer for answer in answers if answer != "never"]
    assert files_in(cache) == [ARCHIVE_NAME]


def test_a_cached_archive_is_used_without_asking_anyone(tmp_path: Path, server: _Server) -> None:
    (tmp_path / ARCHIVE_NAME).write_bytes(ARCHIVE)
    for offline in (False, True):
        loaded = load_dataset(cache_dir=tmp_path, offline=offline, download=server.download("good"))
        assert_is_the_archive(loaded)
    assert server.asked == []


@pytest.mark.parametrize("answers", [["wrong"], ["wrong", "wrong"], ["missing", "wrong", "half"]])
def test_only_wrong_bytes_are_an_error_and_leave_nothing(
    tmp_path: Path, server: _Server, answers: list[str]
) -> None:
    with pytest.raises(ChecksumError, match="wrong sha256") as caught:
        load_dataset(cache_dir=tmp_path, download=server.download(*answers))
    assert isinstance(caught.value, ValueError)
    assert ARCHIVE_NAME in str(caught.value)
    assert str(server.server_port) in str(caught.value)
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("answers", [["half"], ["missing"], ["half", "missing"]])
def test_the_standin_comes_where_no_source_delivers(
    tmp_path: Path, server: _Server, answers: list[str]
) -> None:
    loaded = load_dataset(cache_dir=tmp_path, limit=5, download=server.download(*answers))
    assert loaded.name == "standin"
    assert loaded.note.endswith("no source delivered it")
    assert files_in(tmp_path) == []


def test_the_standin_comes_where_no_source_can_be_reached(
    tmp_path: Path, unreachable: Download
) -> None:
    loaded = load_dataset(cache_dir=tmp_path, limit=5, download=unreachable)
    assert loaded.name == "standin"
    assert "no source could be reached" in loaded.note
    assert "\n" not in loaded.note
    assert files_in(tmp_path) == []
    asked_for = load_dataset("standin", limit=5)
    assert loaded.identity == asked_for.identity
    assert asked_for.note == ""
    np.testing.assert_array_equal(loaded.images, asked_for.images)


def test_offline_asks_no_one_and_says_so(tmp_path: Path, server: _Server) -> None:
    loaded = load_dataset(
        cache_dir=tmp_path / "cache", limit=5, offline=True, download=server.download("good")
    )
    assert loaded.name == "standin"
    assert "switched off" in loaded.note
    assert server.asked == []
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("offline", [False, True])
def test_a_cached_archive_with_a_wrong_hash_is_an_error_that_says_delete(
    tmp_path: Path, server: _Server, offline: bool
) -> None:
    file = tmp_path / ARCHIVE_NAME
    file.write_bytes(ARCHIVE[:-1])
    with pytest.raises(ChecksumError, match="delete the file") as caught:
        load_dataset(cache_dir=tmp_path, offline=offline, download=server.download("good"))
    assert str(file) in str(caught.value)
    assert file.read_bytes() == ARCHIVE[:-1]
    assert server.asked == []


def test_an_interrupted_download_leaves_nothing(
    tmp_path: Path, server: _Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        assert files_in(tmp_path) != []
        raise KeyboardInterrupt

    monkeypatch.setattr("requests.Response.iter_content", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load_dataset(cache_dir=tmp_path, download=server.download("good"))
    assert files_in(tmp_path) == []


def test_several_at_once_all_get_the_archive(tmp_path: Path, server: _Server) -> None:
    load = partial(load_dataset, cache_dir=tmp_path, download=server.download("good"))
    with ThreadPoolExecutor(4) as pool:
        for loaded in [future.result() for future in [pool.submit(load) for _ in range(4)]]:
            assert_is_the_archive(loaded)
    assert files_in(tmp_path) == [ARCHIVE_NAME]


def test_a_cache_that_cannot_be_written_is_told_in_the_note(
    tmp_path: Path, server: _Server
) -> None:
    (tmp_path / "file").write_bytes(b"")
    loaded = load_dataset(
        cache_dir=tmp_path / "file" / "cache", limit=5, download=server.download("good")
    )
    assert loaded.name == "standin"
    assert "cannot be written" in loaded.note


@pytest.fixture
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """One in which nothing changes how a source is reached."""
    for name in os.environ:
        if name.lower().endswith("_proxy") or name in CERTIFICATES:
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize("name", CERTIFICATES)
@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("{}/missing.pem", "no source could be reached: {} names no file"),
        ("{}/empty.pem", "no source could be reached: TLS failed, with what {} names"),
    ],
)
def test_certificates_that_are_not_there_are_told_and_not_the_cache(
    tmp_path: Path,
    server: _Server,
    plain_environment: pytest.MonkeyPatch,
    name: str,
    value: str,
    why: str,
) -> None:
    (tmp_path / "empty.pem").touch()
    plain_environment.setenv(name, value.format(tmp_path))
    (source,) = server.download("good").sources
    download = Download((source.replace("http:", "https:"),), SHA256)
    loaded = load_dataset(cache_dir=tmp_path / "cache", limit=5, download=download)
    assert loaded.note.endswith(why.format(name))
    assert str(tmp_path) not in loaded.note
    assert server.asked == []


@pytest.mark.parametrize(
    "proxy",
    [
        "http://127.0.0.1:9",
        "garbage",
        "http://[::1",
        "socks5://127.0.0.1:9",
        "http://",
        "http://ä..b",
    ],
)
def test_a_proxy_that_cannot_be_used_is_told_and_not_the_sources(
    tmp_path: Path, server: _Server, plain_environment: pytest.MonkeyPatch, proxy: str
) -> None:
    plain_environment.delenv("NO_PROXY", raising=False)
    plain_environment.setenv("HTTP_PROXY", proxy)
    plain_environment.setenv("http_proxy", proxy)
    loaded = load_dataset(cache_dir=tmp_path, limit=5, download=server.download("good"))
    assert loaded.note.endswith(
        "no source could be reached through the proxy that the environment names"
    )
    assert server.asked == []


def test_a_cache_that_cannot_be_looked_at_is_told_in_the_note(
    tmp_path: Path, server: _Server
) -> None:
    loaded = load_dataset(
        cache_dir=tmp_path / ("x" * 300), limit=5, download=server.download("good")
    )
    assert loaded.note.endswith("the cache cannot be read (File name too long)")


def test_the_official_sources_are_https_and_more_than_one() -> None:
    assert len(OFFICIAL.sources) == len(set(OFFICIAL.sources)) > 2
    assert all(source.startswith("https://") for source in OFFICIAL.sources)
    assert OFFICIAL.sources[-1].startswith("https://www.cs.toronto.edu/")
