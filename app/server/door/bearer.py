"""The bearer token of a server, compared in constant time."""

import hmac


def carries(authorization: str, token: str) -> bool:
    """Return whether an Authorization header carries the token. An empty token requires none."""
    scheme, _, given = authorization.partition(" ")
    right = hmac.compare_digest(given.strip().encode("utf-8", "replace"), token.encode())
    return not token or (scheme.lower() == "bearer" and right)
