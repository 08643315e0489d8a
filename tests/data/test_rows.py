from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pigan.data.rows import RowWriter


@given(st.integers(0, 12), st.tuples(st.integers(1, 3), st.integers(1, 3)))
def test_growing_array_equals_numpy_save(
    tmp_path_factory: pytest.TempPathFactory, rows: int, shape: tuple[int, int]
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    array = np.random.default_rng(0).random((rows, *shape)).astype(np.float32)
    with RowWriter(folder / "a.npy", shape, np.float32) as writer:
        for row in array:
            writer.append(row)
    np.save(folder / "b.npy", array)
    assert (folder / "a.npy").read_bytes() == (folder / "b.npy").read_bytes()


def test_growing_array_refuses_another_shape(tmp_path: Path) -> None:
    with RowWriter(tmp_path / "a.npy", (2,), np.uint8) as writer, pytest.raises(ValueError, match="shape"):
        writer.append(np.zeros(3, np.uint8))
