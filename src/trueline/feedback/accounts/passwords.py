"""Passwords as salted scrypt hashes (RFC 7914), with their parameters beside them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

N, R, P, SIZE = 2**14, 8, 1, 32
SHORTEST = 10


def hashed(password: str) -> str:
    """scrypt$N$r$p$salt$hash"""
    salt = secrets.token_bytes(16)
    return f"scrypt${N}${R}${P}${_text(salt)}${_text(_digest(password, salt, N, R, P))}"


def matches(password: str, stored: str | None) -> bool:
    """Whether the password is the one; takes as long where there is no account, so that nobody learns of names."""
    known = stored or hashed("")
    _, n, r, p, salt, digest = known.split("$")
    found = _digest(password, base64.b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(found, base64.b64decode(digest)) and stored is not None


def _digest(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode("utf-8", "surrogatepass"), salt=salt, n=n, r=r, p=p, dklen=SIZE)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
