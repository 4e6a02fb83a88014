"""Whether a request may change something: it knows the token, and comes from the page."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from agents.serving.reviews import is_from_here

INTERVAL_S: Final = 1.0
"""Between two actions."""
_SCHEME: Final = "Bearer "


@dataclass(frozen=True, slots=True)
class Denial:
    """Why nothing is done, and the HTTP status that says so."""

    status: int
    text: str


class Permission:
    """Tells who may act. Without a token nobody may, and there is no action to be found.

    Examples
    --------
    >>> permission = Permission("a long secret token")
    >>> page = {"origin": "http://127.0.0.1:8600", "host": "127.0.0.1:8600"}
    >>> known = {"content-type": "application/json", "authorization": "Bearer a long secret token"}
    >>> permission.denial(page | known, now_s=7.0) is None
    True
    >>> permission.denial(page | known, now_s=7.5).status
    429
    >>> permission.denial(known, now_s=9.0).status
    403
    >>> Permission("").denial(page | known, now_s=7.0).status
    404
    """

    def __init__(self, token: str) -> None:
        self.exists: Final = token != ""
        """Whether anybody may act at all."""
        self._token: Final = token.encode()
        self._acted_at_s: float | None = None

    def denial(self, headers: Mapping[str, str], now_s: float) -> Denial | None:
        """Tell why a request is turned down; `None`: it may act, and the next has to wait.

        Parameters
        ----------
        headers
            By their names in lower case.
        now_s
            By a clock that never goes back.
        """
        if not self.exists:
            return Denial(404, "this server has no token, so it has no actions")
        if not is_from_here(headers.get("origin"), headers.get("host")):
            return Denial(403, "actions are taken on this page, and not from elsewhere")
        if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return Denial(415, "an action is JSON")
        if not self._knows_token(headers.get("authorization", "")):
            return Denial(401, "the token is wrong")
        # Last, so that who does not know the token is in nobody's way.
        if self._acted_at_s is not None and now_s - self._acted_at_s < INTERVAL_S:
            return Denial(429, f"one action each {INTERVAL_S:.0f} s")
        self._acted_at_s = now_s
        return None

    def _knows_token(self, said: str) -> bool:
        # Compared as a whole and in constant time: how long it takes tells nothing of the token.
        return hmac.compare_digest(said.encode("utf-8", "replace"), _SCHEME.encode() + self._token)
