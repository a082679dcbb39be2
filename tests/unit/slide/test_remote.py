"""Slides behind a URL are read by ranges, from a real server on this machine."""

from __future__ import annotations

import pickle
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from ishcount.core.errors import SlideError
from ishcount.core.geometry import Region
from ishcount.slide import source
from ishcount.slide.digest import slide_digest
from ishcount.slide.open import open_slide
from ishcount.slide.overview import read_overview
from ishcount.slide.source import address, is_url, shown
from tests.slide_files import tissue, write_pyramid

pytest.importorskip("fsspec")
pytest.importorskip("aiohttp", reason="the extra `remote` is not installed")
# aiohttp leaves its connections to the event loop of fsspec, which outlives the tests.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


@dataclass
class Server:
    """A folder served over HTTP; `ranged` False ignores Range headers, `failures` answers that many with
    503.
    """

    folder: Path
    url: str = ""
    ranged: bool = True
    failures: int = 0
    sent: list[int] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    """GET and HEAD with a single byte range."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, state: Server, *arguments) -> None:
        self.state = state
        super().__init__(*arguments)

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        path = self.state.folder / self.path.partition("?")[0].lstrip("/")
        if not path.is_file():
            return self.finish_with(404, b"", body)
        if body and self.state.failures:
            self.state.failures -= 1
            return self.finish_with(503, b"", body)
        size, status = path.stat().st_size, 200
        start, end = 0, size - 1
        asked = re.match(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        headers = {"Accept-Ranges": "bytes"} if self.state.ranged else {}
        if asked and self.state.ranged:
            start, end, status = int(asked[1]), min(int(asked[2]), size - 1), 206
            headers["Content-Range"] = f"bytes {start}-{end}/{size}"
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(end + 1 - start)
        return self.finish_with(status, data, body, **headers)

    def finish_with(self, status: int, data: bytes, body: bool, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)
            self.state.sent.append(len(data))

    def log_message(self, *arguments) -> None:
        """Say nothing."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    state = Server(tmp_path)
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, state))
    thread = threading.Thread(target=partial(http.serve_forever, poll_interval=0.02), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{http.server_address[1]}"
    yield state
    http.shutdown()
    http.server_close()
    thread.join()


def test_remote_slide_is_the_local_slide(server):
    path = write_pyramid(server.folder / "slide.tif", tissue(400, 500), (4,))
    with open_slide(path) as local, open_slide(f"{server.url}/slide.tif") as remote:
        assert remote.levels == local.levels
        assert remote.pixel_size == local.pixel_size
        for region in (Region(0, 0, 500, 400), Region(33, 57, 200, 300)):
            assert np.array_equal(remote.read(region), local.read(region))
        assert all(np.array_equal(ours, theirs) for ours, theirs in zip(
            read_overview(remote, 16)[:2], read_overview(local, 16)[:2], strict=True))  # fmt: skip
    assert slide_digest(f"{server.url}/slide.tif") == slide_digest(path)


def test_only_what_is_needed_is_fetched(server):
    path = write_pyramid(server.folder / "slide.tif", tissue(2000, 2000), (4,))
    with open_slide(f"{server.url}/slide.tif") as remote:
        remote.read(Region(500, 500, 100, 100))
    assert sum(server.sent) < 1e6 < path.stat().st_size / 10
    assert len(server.sent) < 20


def test_remote_slide_travels_to_another_process(server):
    write_pyramid(server.folder / "slide.tif", tissue(300, 300), (2,))
    with open_slide(f"{server.url}/slide.tif", mpp=0.3) as remote:
        copy = pickle.loads(pickle.dumps(remote))
        assert copy.pixel_size == remote.pixel_size
        assert np.array_equal(copy.read(Region(0, 0, 300, 300)), tissue(300, 300))


def test_busy_store_is_asked_again(server, monkeypatch):
    monkeypatch.setattr(source, "RETRY_SECONDS", 0.01)
    write_pyramid(server.folder / "slide.tif", tissue(300, 300), (2,))
    server.failures = 2
    with open_slide(f"{server.url}/slide.tif") as remote:
        server.failures = 2
        assert np.array_equal(remote.read(Region(0, 0, 300, 300)), tissue(300, 300))


@pytest.mark.parametrize("fault", ["absent", "no ranges", "gone", "failing", "letter"])
def test_faults_of_the_network_are_one_clean_error(server, monkeypatch, fault):
    monkeypatch.setattr(source, "RETRY_SECONDS", 0.01)
    write_pyramid(server.folder / "slide.tif", tissue(600, 600), (2,))
    (server.folder / "letter").write_bytes(b"text" * 2000)
    url = f"{server.url}/{'slide.tif' if fault not in ('absent', 'letter') else fault}?key=SECRET"
    server.ranged = fault != "no ranges"
    server.failures = 1000 if fault == "failing" else 0
    if fault == "gone":
        slide = open_slide(url)
        (server.folder / "slide.tif").unlink()
        with pytest.raises(SlideError) as caught:
            slide.read_masked(Region(0, 0, 600, 600))
    else:
        with pytest.raises(SlideError) as caught:
            open_slide(url)
    assert caught.value.code == ("E_FORMAT" if fault == "letter" else "E_IO")
    assert "SECRET" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_url_is_told_from_a_path():
    assert is_url("https://host/a.svs")
    assert is_url("s3://bucket/a.svs")
    assert not is_url("C://a.svs")
    assert not is_url("/data/a.svs")
    assert address(Path("https://host/a.svs")) == "https://host/a.svs"
    assert address(Path("s3://bucket/a.svs")) == "s3://bucket/a.svs"
    assert address("/data/a.svs") == "/data/a.svs"
    assert shown("https://user:word@host:80/a.svs?key=1#x") == "https://host:80/a.svs"
    assert shown("/data/a?b.svs") == "/data/a?b.svs"
