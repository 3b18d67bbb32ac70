"""The cookie of a browser that signed in before, so that strangers never slow it down. RELIABILITY R152.

Law: what it proves, the store's own key signed: it holds at every instance on that store, for one account, and nowhere else.
"""

import hashlib
import hmac
import secrets


class Devices:
    """Signs and reads it."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def cookie(self, user: str) -> str:
        """A new one."""
        device = secrets.token_hex(16)
        return f"{device}.{self._signature(user, device)}"

    def of(self, user: str, cookie: str) -> str:
        """The device that the cookie proves for this account; "" when it proves none."""
        device, _, signature = cookie.partition(".")
        expected = self._signature(user, device)
        return device if device and hmac.compare_digest(signature.encode(), expected.encode()) else ""

    def _signature(self, user: str, device: str) -> str:
        return hmac.new(self._key, f"{device}\n{user}".encode(), hashlib.sha256).hexdigest()
