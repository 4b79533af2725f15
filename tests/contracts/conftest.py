"""The server that one of the engines needs."""

from tests.triton.conftest import installation, phantom, triton

__all__ = ["installation", "phantom", "triton"]
