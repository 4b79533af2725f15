"""What a call takes of memory, to the byte."""

import gc
import tracemalloc


def peak_bytes(call):
    """Most bytes that Python and NumPy held at once during a call, beyond those held before; the result counts."""
    gc.collect()
    tracemalloc.start()
    try:
        result = call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        del result
        tracemalloc.stop()
