"""Which models serve an arriving study."""

import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from scnas_deploy.data.dicom.attributes import text
from scnas_deploy.data.dicom.scan import scan
from scnas_deploy.errors import ConfigError
from scnas_deploy.serve.logs import event, in_words, logger
from scnas_deploy.serve.settings import Rule, ServeSettings, read_settings

_LOG: Final = logger("serve.rules")
_INFO, _ERROR = 20, 40


def fitting(rules: Iterable[Rule], called_ae_title: str, paths: Callable[[], list[Path]]) -> list[Rule]:
    """Return the rules that an arrived study meets.

    Args:
        rules: All of them.
        called_ae_title: To whom it was sent.
        paths: Gives its objects; asked, and their headers read, only where a rule looks at attributes.
    """
    called = [rule for rule in rules if rule.called_ae_title in (None, called_ae_title)]
    if not any(rule.match for rule in called):
        return called
    headers = [series.header for series in scan(paths()).series]
    return [rule for rule in called if not rule.match or any(_meets(header, rule) for header in headers)]


def _meets(header: Any, rule: Rule) -> bool:
    return all(re.search(each.matches, text(header, each.attribute), re.IGNORECASE) for each in rule.match)


class RuleBook:
    """The rules as the settings file has them now.

    A file that was changed is read again; what cannot be used changes nothing and is logged once.

    Args:
        path: The settings; None keeps those given.
        settings: As they were read first.
    """

    def __init__(self, path: Path | None, settings: ServeSettings) -> None:
        self._path, self._rules, self._settings = path, settings.rules, settings
        self._lock = threading.Lock()
        self._stamp = self._look()

    def rules(self) -> tuple[Rule, ...]:
        """Return them."""
        with self._lock:
            stamp = self._look()
            if self._path is not None and stamp != self._stamp:
                self._stamp = stamp
                self._read(self._path)
            return self._rules

    def called_ae_titles(self) -> frozenset[str]:
        """Return the AE titles that we answer to."""
        own = [self._settings.dicom.ae_title] if self._settings.dicom else []
        named = [rule.called_ae_title for rule in self.rules() if rule.called_ae_title is not None]
        return frozenset((*own, *named, *(source.called_ae_title for source in self._settings.reconcile)))

    def _read(self, path: Path) -> None:
        try:
            fresh = read_settings(path)
            _require_destinations(fresh.rules, self._settings)
        except ConfigError as error:
            event(_LOG, _ERROR, "changed rules that cannot be used; the old ones stay", error=in_words(error))
            return
        self._rules = fresh.rules
        event(_LOG, _INFO, "rules read again", rules=len(fresh.rules))

    def _look(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat() if self._path is not None else None
        except OSError:
            return None
        return None if status is None else (status.st_mtime_ns, status.st_size)


def _require_destinations(rules: Iterable[Rule], settings: ServeSettings) -> None:
    known = {destination.name for destination in settings.destinations}
    unknown = sorted({name for rule in rules for name in rule.destinations} - known)
    if unknown:
        raise ConfigError(
            "the rules",
            expected="destinations that were there when the server started",
            found=f"'{unknown[0]}'",
            remedy="Start the server again to add destinations",
        )
