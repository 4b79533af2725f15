"""The viewer in a browser, as a test looks at it: by the pixels of its pictures."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from tests.browser import WatchedPage


class ViewerWindow:
    """A page of the viewer that is open and drawn.

    Args:
        browser: Where.
        path: The page.
        width: Of the window.
    """

    def __init__(self, browser: object, path: Path, width: int = 1280) -> None:
        self.watched = WatchedPage(browser, width)
        self.page = self.watched.open(path)
        self.page.wait_for_selector("html[data-viewer=shown]", timeout=60_000)

    def close(self) -> None:
        assert not self.watched.troubles, self.watched.troubles
        self.watched.require_clean()
        self.watched.close()

    def say(self) -> str:
        """What stands below the pictures."""
        return self.page.inner_text("#position")

    def slices(self) -> list[int]:
        """Numbers of the slices shown along R, A, S, from 1."""
        return [int(self.page.inner_text(f"output[for=slice-{axis}]").split()[0]) for axis in range(3)]

    def bare(self) -> None:
        """Take letters and crosshair off the pictures, so that only voxels are left."""
        self.page.evaluate("document.getElementById('letters').hidden = true; viewer.setCrosshairWidth(0)")

    def view(self, name: str) -> None:
        self.page.check(f"input[name=view][value='{name}']")

    def opacity(self, percent: int) -> None:
        self.page.locator("#opacity").fill(str(percent))

    def pixels(self) -> np.ndarray:
        """(rows, columns, 3) of the pictures, int."""
        self.page.evaluate("nextFrame().then(nextFrame)")
        png = self.page.locator("#canvas").screenshot()
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)

    def red(self) -> np.ndarray:
        """Where the pictures are red."""
        pixels = self.pixels()
        return (pixels[..., 0] > 130) & (pixels[..., 1] < 90) & (pixels[..., 2] < 90)

    def bright(self) -> np.ndarray:
        """Where the pictures are nearly white; their corners are rounded."""
        found = self.pixels().min(axis=-1) > 128
        found[[*range(8), *range(-8, 0)]] = False
        return found


def middle(mask: np.ndarray) -> np.ndarray:
    """(x, y) of a mask's centre, from the middle of the picture, right and down."""
    rows, columns = np.nonzero(mask)
    return np.array([columns.mean() - (mask.shape[1] - 1) / 2, rows.mean() - (mask.shape[0] - 1) / 2])


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Dice of two masks."""
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))
