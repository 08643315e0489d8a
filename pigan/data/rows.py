"""Arrays on disk that grow row by row."""

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike


class RowWriter:
    """A .npy file that grows row by row, so that a set never has to fit in memory; use as a context manager."""

    def __init__(self, path: Path, row_shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.row_shape, self.dtype, self.rows = row_shape, np.dtype(dtype), 0
        self._file = path.open("wb")
        self._write_header()
        self._start = self._file.tell()

    def append(self, row: np.ndarray) -> None:
        """Add one row.

        Raises:
            ValueError: the row has another shape.
        """
        if row.shape != self.row_shape:
            raise ValueError(f"a row of shape {row.shape} in an array of {self.row_shape}")
        self._file.write(np.ascontiguousarray(row, self.dtype).tobytes())
        self.rows += 1

    def __enter__(self) -> "RowWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.seek(0)
        # numpy pads headers so that the number of rows can grow in place
        self._write_header()
        moved = self._file.tell() != self._start
        self._file.close()
        if moved and error is None:
            raise RuntimeError("the .npy header changed its length")

    def _write_header(self) -> None:
        descr: Any = np.lib.format.dtype_to_descr(self.dtype)
        header = {"descr": descr, "fortran_order": False, "shape": (self.rows, *self.row_shape)}
        np.lib.format.write_array_header_1_0(self._file, header)
