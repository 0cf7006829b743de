"""The bearer token of a server, compared in constant time."""

import hmac


def carries(authorization: str, token: str) -> bool:
    """Tell whether a value of the Authorization header carries the token. An empty token asks for none."""
    scheme, _, given = authorization.partition(" ")
    right = hmac.compare_digest(given.strip().encode("utf-8", "replace"), token.encode())
    return not token or (scheme.lower() == "bearer" and right)
