"""A table written in parts: the file does not tell where they were cut, and holds one part at a time."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from ishcount.core import files


def table(n):
    rng = np.random.default_rng(4)
    words = pd.array(["", "melanin", "diffuse"], dtype="string")
    return pd.DataFrame(
        {
            "x_um": rng.random(n),
            "score": rng.random(n).astype(np.float32),
            "reason": words.take(rng.integers(0, 3, n)),
        }
    )


@pytest.mark.parametrize("cuts", [[], [1], [65_536], [30_000, 30_000, 65_537, 131_072, 140_000]])
def test_parts_of_any_height_give_the_bytes_of_the_whole_table(tmp_path, cuts):
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole = table(150_000)
    bounds = [0, *cuts, len(whole)]
    parts = (whole.iloc[a:b].reset_index(drop=True) for a, b in pairwise(bounds))
    files.write_parquet_parts(tmp_path / "parts.parquet", parts)
    arrow = pa.Table.from_pandas(whole, preserve_index=False).replace_schema_metadata({})
    pq.write_table(arrow, tmp_path / "whole.parquet", compression="zstd", row_group_size=files.ROW_GROUP_ROWS)
    assert (tmp_path / "parts.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_a_table_without_rows_has_its_columns(tmp_path):
    files.write_parquet_parts(tmp_path / "none.parquet", [table(0), table(0)])
    assert list(pd.read_parquet(tmp_path / "none.parquet")) == ["x_um", "score", "reason"]
