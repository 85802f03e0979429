"""Short names for the numpy arrays that functions take and return.

One name for one dtype in the whole package, so that a signature says what an array holds; its
shape and units are in the docstring of whoever returns it.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

I64: TypeAlias = npt.NDArray[np.int64]
I32: TypeAlias = npt.NDArray[np.int32]
U64: TypeAlias = npt.NDArray[np.uint64]
U32: TypeAlias = npt.NDArray[np.uint32]
U8: TypeAlias = npt.NDArray[np.uint8]
F64: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Rows: TypeAlias = npt.NDArray[np.void]
"""Rows of a structured dtype; which one, says the function."""
Indices: TypeAlias = npt.NDArray[np.intp]
