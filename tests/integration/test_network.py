"""A user's own network from the parameters to the tables; a tiny ONNX file made here stands for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ishcount.core.errors import UsageError
from ishcount.params import make_params, read_params
from ishcount.quantify import count_slide
from ishcount.quantify.network import with_network
from ishcount.result import load_result
from tests import small_slide
from tests.tiny_network import write_network


@pytest.fixture(scope="module")
def slide(tmp_path_factory) -> Path:
    rgb, _ = small_slide.draw()
    return small_slide.write(tmp_path_factory.mktemp("slide") / "small.tif", rgb)


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    pytest.importorskip("onnx", reason="the package onnx makes the network of this test")
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    return write_network(tmp_path_factory.mktemp("network"))


def run(slide: Path, out: Path, params: Path) -> tuple[int, str]:
    command = ["quantify", str(slide), "-o", str(out), "--marker", "IFNG:fast_red", "--params", str(params)]
    done = subprocess.run(
        [sys.executable, "-m", "ishcount", *command, "--outputs", "tables", "--workers", "1"],
        capture_output=True, text=True, timeout=400, encoding="utf-8",
    )  # fmt: skip
    return done.returncode, done.stderr


def params_file(folder: Path, *lines: str) -> Path:
    path = folder / "params.toml"
    path.write_text("\n".join(["[nuclei]", *lines]) + "\n", encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_network_named_in_the_parameters_finds_the_nuclei(slide, network, tmp_path):
    code, said = run(slide, tmp_path / "out", params_file(tmp_path, f"network = {str(network)!r}"))
    assert code == 0, said
    used = read_params(tmp_path / "out" / "params.toml").nuclei
    assert used.network == str(network)
    own = count_slide(slide, tmp_path / "own", markers=["IFNG:fast_red"])
    (theirs,) = load_result(tmp_path / "out").slides.values()
    assert len(theirs.cells) == pytest.approx(len(own.cells), rel=0.1)
    assert theirs.cells["nucleus_area_um2"].mean() != pytest.approx(
        own.cells["nucleus_area_um2"].mean(), rel=0.01
    )
    summary = json.loads((theirs.folder / "summary.json").read_text("utf-8"))
    assert summary["digests"]["params"] == read_params(tmp_path / "out" / "params.toml").digest()


@pytest.mark.slow
def test_another_block_size_gives_the_same_nuclei(slide, network, tmp_path):
    params = {"nuclei": {"network": str(network)}}
    tables = [
        count_slide(
            slide, tmp_path / str(block_um), markers=["IFNG:fast_red"],
            params=make_params(params | {"blocks": {"block_um": block_um}}),
        ).cells[["x_um", "y_um", "nucleus_area_um2"]].to_numpy()
        for block_um in (128, 512)
    ]  # fmt: skip
    assert len(tables[0]) > 20
    assert tables[1] == pytest.approx(tables[0], abs=1e-9)


def test_the_digest_follows_the_network_and_not_its_place(network, tmp_path):
    moved, other = write_network(tmp_path / "moved"), write_network(tmp_path / "other", steepness=10)
    digests = [
        with_network(make_params({"nuclei": {"network": str(path)}})).digest()
        for path in (network, moved, other)
    ]
    assert digests[0] == digests[1] != digests[2]


def test_a_network_that_was_changed_since_is_refused(network):
    params = make_params({"nuclei": {"network": str(network), "network_sha256": "0" * 64}})
    with pytest.raises(UsageError, match="it was changed"):
        with_network(params)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot read the network's description"),
        ('model = "absent.onnx"\npixel_size_um = 0.5\n', "downloads none"),
        ('model = "broken.onnx"\npixel_size_um = 0.5\n', "cannot open the network"),
    ],
)
def test_a_run_with_a_wrong_network_ends_at_once_with_one_line(slide, network, tmp_path, content, words):
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    if content:
        (tmp_path / "mine.toml").write_text(content, encoding="utf-8")
    code, said = run(
        slide, tmp_path / "out", params_file(tmp_path, f"network = {str(tmp_path / 'mine.toml')!r}")
    )
    assert code == 2
    assert words in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out" / "slides").exists()


def test_without_the_extra_it_says_what_to_install(network, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(UsageError, match=r"pip install 'ishcount\[onnx\]'"):
        _ = with_network(make_params({"nuclei": {"network": str(write_copy(network))}}))


def write_copy(network: Path) -> Path:
    """The same network under another name: sessions are kept by path."""
    other = network.with_name("copy.toml")
    other.write_text(network.read_text("utf-8"), encoding="utf-8")
    return other
