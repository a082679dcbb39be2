"""A network of one convolution: a pixel is nucleus the darker it is in red."""

from __future__ import annotations

from pathlib import Path


def write_network(folder: Path, *, steepness: float = 30.0, middle: float = 0.62) -> Path:
    """`dark.onnx` and the TOML that describes it, whose path comes back.

    Probability is sigmoid(steepness * (middle - red)); haematoxylin takes red light, Fast Red hardly.
    """
    from onnx import TensorProto, helper, save

    folder.mkdir(parents=True, exist_ok=True)
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1, 3, 1, 1], [-steepness, 0.0, 0.0])
    bias = helper.make_tensor("b", TensorProto.FLOAT, [1], [steepness * middle])
    sizes = ["n", 3, "h", "w"], ["n", 1, "h", "w"]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "w", "b"], ["raw"]),
            helper.make_node("Sigmoid", ["raw"], ["probability"]),
        ],
        "dark",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, sizes[0])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, sizes[1])],
        [weight, bias],
    )
    save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8),
        folder / "dark.onnx",
    )
    path = folder / "dark.toml"
    path.write_text(
        'model = "dark.onnx"\npixel_size_um = 0.5\ntile_px = 128\nhalo_px = 8\n', encoding="utf-8"
    )
    return path
