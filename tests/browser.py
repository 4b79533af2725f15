"""A real Chromium for tests of pages: what a page logs and asks for is watched, and a picture of it is kept."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from tests.conftest import REQUIRE_ALL

CHROMIUM = shutil.which("chromium")
WIDTHS = (1280, pytest.param(800, marks=pytest.mark.soak))
"""Of the window, in pixels: that of a desk and, among the long tests, a narrow one."""
PICTURES = os.environ.get("SCNAS_PICTURES")
"""Folder to keep screenshots in; left out, they go with the tests' temporary folders."""
_FLAGS = (
    *("--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-quic", "--no-first-run"),
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start one; its pages share nothing."""
    if CHROMIUM is None:
        message = "no chromium: apt-get install chromium"
        if REQUIRE_ALL:
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


class WatchedPage:
    """A page that is opened, with all that it says and asks for.

    Args:
        browser: Where.
        width: Of the window in pixels; it is 900 high.
        token: Sent as a bearer token with every request.
    """

    def __init__(self, browser: Browser, width: int = WIDTHS[0], *, token: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._context = browser.new_context(viewport={"width": width, "height": 900}, extra_http_headers=headers)
        self.page: Page = self._context.new_page()
        self.troubles: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("request", self._on_request)

    def open(self, where: Path | str) -> Page:
        """Open a file or an address and wait until it is loaded."""
        self.page.goto(where.resolve().as_uri() if isinstance(where, Path) else where)
        return self.page

    def close(self) -> None:
        self._context.close()

    def picture(self, folder: Path, name: str, *, whole: bool = True) -> Path:
        """Keep a screenshot as a person would see it."""
        target = Path(PICTURES or folder) / f"{name}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=target, full_page=whole)
        return target

    def require_clean(self, *own: str) -> None:
        """Nothing went wrong, and nothing was asked for but the page's own.

        Args:
            own: Beginnings of addresses that are the page's own; a file has none but itself.
        """
        assert not self.troubles, self.troubles
        outside = [url for url in self.requests[1:] if not url.startswith(("data:", "blob:", *own))]
        assert not outside, outside

    def require_accessible(self) -> None:
        """axe-core finds nothing serious or critical."""
        found = Axe().run(self.page).response["violations"]
        grave = [each for each in found if each["impact"] in ("serious", "critical")]
        assert not grave, "\n".join(f"{each['id']}: {[node['html'] for node in each['nodes']][:3]}" for each in grave)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(f"{message.type}: {message.text}")

    def _on_request(self, request: Request) -> None:
        self.requests.append(request.url)
