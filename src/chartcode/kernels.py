"""Loops that numba compiles: at first use, and kept on disk for the next process where that can be written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def kernel(signature: Any = None, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function, free of the GIL, with numba's `options`; without a signature, for the types it meets.

    Kept beside its file, in NUMBA_CACHE_DIR or in the user's cache; where no folder can be written, each process
    compiles. A disk that is full ends the stage.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        try:
            return njit(signature, nogil=True, cache=True, **options)(function)
        except RuntimeError:  # "no locator available"
            return njit(signature, nogil=True, **options)(function)

    return compiled
