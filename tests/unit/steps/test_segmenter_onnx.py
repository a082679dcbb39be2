"""A user's own network: a tiny ONNX file made here stands for it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from ishcount.core.errors import UsageError
from ishcount.core.units import PixelSize
from ishcount.steps.segmenter_onnx import read_network, segment

HALF_UM = PixelSize(0.5, 0.5)
TOML = 'model = "dark.onnx"\npixel_size_um = 0.5\ntile_px = 64\nhalo_px = 8\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A network that calls a pixel nucleus the darker it is: sigmoid(20 * (0.5 - mean of R, G, B))."""
    onnx = pytest.importorskip("onnx", reason="the package onnx makes the network of this test")
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weight = helper.make_tensor("w", kind, [1, 3, 1, 1], [-20 / 3] * 3)
    bias = helper.make_tensor("b", kind, [1], [10.0])
    nodes = [
        helper.make_node("Conv", ["image", "w", "b"], ["raw"]),
        helper.make_node("Sigmoid", ["raw"], ["probability"]),
    ]
    graph = helper.make_graph(
        nodes,
        "dark",
        [helper.make_tensor_value_info("image", kind, [1, 3, None, None])],
        [helper.make_tensor_value_info("probability", kind, [1, 1, None, None])],
        [weight, bias],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, tmp_path / "dark.onnx")
    (tmp_path / "dark.toml").write_text(TOML, encoding="utf-8")
    return tmp_path


def picture(*discs: tuple[int, int, int], shape: tuple[int, int] = (150, 170)) -> np.ndarray:
    """White with dark discs (x, y, radius)."""
    rgb = np.full((*shape, 3), 235, np.uint8)
    for x, y, radius in discs:
        cv2.circle(rgb, (x, y), radius, (60, 50, 120), -1)
    return rgb


def test_nuclei_come_back_where_they_are_and_touching_ones_apart(folder: Path):
    rgb = picture((40, 40, 8), (53, 40, 8), (120, 100, 9))
    labels = segment(rgb, HALF_UM, read_network(folder / "dark.toml"))
    assert labels.max() == 3
    assert labels[40, 37] not in (0, labels[40, 56])
    assert np.count_nonzero(labels == labels[100, 120]) == pytest.approx(np.pi * 81, rel=0.15)


def test_squares_leave_no_seam(folder: Path):
    rgb = picture((64, 64, 9), (128, 30, 9))  # on the corner and on the edge of the squares
    labels = segment(rgb, HALF_UM, read_network(folder / "dark.toml"))
    assert labels.max() == 2
    assert np.count_nonzero(labels == labels[64, 64]) == pytest.approx(np.pi * 81, rel=0.15)


def test_the_answer_lies_on_the_nuclei_grid_whatever_the_slide_s_pixels(folder: Path):
    fine = cv2.resize(picture((80, 60, 9)), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    labels = segment(fine, PixelSize(0.25, 0.25), read_network(folder / "dark.toml"), factor=2)
    y, x = np.nonzero(labels)
    assert (x.mean(), y.mean()) == pytest.approx((80, 60), abs=0.6)


@pytest.mark.parametrize("network_um", [0.5, 0.4, 0.7])
def test_a_nucleus_is_the_same_in_whatever_array_it_is_seen(folder: Path, network_um: float):
    (folder / "dark.toml").write_text(TOML.replace("0.5", str(network_um)), encoding="utf-8")
    network = read_network(folder / "dark.toml")
    rgb = picture((40, 40, 8), (53, 40, 8), (100, 90, 9), (88, 60, 11))
    whole = segment(rgb, PixelSize(0.25, 0.25), network, factor=2)
    part = segment(rgb[14:130, 10:150], PixelSize(0.25, 0.25), network, factor=2, origin_px=(10, 14))
    inside = whole[7:65, 5:75]
    assert whole.max() == part.max() >= 3
    np.testing.assert_array_equal(part > 0, inside > 0)


def test_the_fingerprint_follows_the_file_and_its_settings(folder: Path):
    before = read_network(folder / "dark.toml").fingerprint()
    (folder / "other.toml").write_text(TOML + "threshold = 0.7\n", encoding="utf-8")
    assert read_network(folder / "dark.toml").fingerprint() == before
    assert read_network(folder / "other.toml").fingerprint() != before


def test_a_network_with_other_channels_than_promised_is_refused(folder: Path):
    (folder / "dark.toml").write_text(TOML + 'output = "classes"\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r"needs 3 channel\(s\)"):
        segment(picture(), HALF_UM, read_network(folder / "dark.toml"))


def test_a_file_that_is_no_network_is_refused_in_one_line(folder: Path):
    (folder / "dark.onnx").write_bytes(b"no network")
    with pytest.raises(UsageError, match="cannot open the network") as refusal:
        segment(picture(), HALF_UM, read_network(folder / "dark.toml"))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('model = "absent.onnx"\npixel_size_um = 0.5\n', "downloads none"),
        ('model = "absent.onnx"\n', "pixel_size_um"),
        ('model = "absent.onnx"\npixel_size_um = 0.5\nlayuot = "NHWC"\n', "layuot"),
        ("model = [", "cannot read"),
    ],
)
def test_a_wrong_description_is_refused_with_what_is_wrong(tmp_path: Path, text: str, words: str):
    (tmp_path / "n.toml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=words):
        read_network(tmp_path / "n.toml")
