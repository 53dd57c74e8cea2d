"""Libraries that only verify tokens, each behind an API of a few lines."""

import json

import jose.exceptions
import jose.jwt
import jwt
import requests

from settings import AUDIENCE, ISSUER, JWKS, paste


def python_jose_with_all_keys(token):
    """What the library's own example does: it tries the keys in their order."""
    jwks = requests.get(JWKS, timeout=10).json()
    return jose.jwt.decode(token, jwks, algorithms=["RS256"], audience=AUDIENCE, issuer=ISSUER)


def resource_server(claims_of):
    def answer(environ, start_response):
        scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        try:
            claims = claims_of(token) if scheme == "Bearer" else None
        except (jwt.PyJWTError, jose.exceptions.JOSEError):
            claims = None
        if claims is None:
            start_response("401 Unauthorized", [("WWW-Authenticate", "Bearer")])
            return [b""]
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"subject": claims["sub"]}).encode()]

    return answer


apps = {
    "/pyjwt": resource_server(paste("pyjwt")["claims_of"]),
    "/python-jose": resource_server(paste("python-jose")["claims_of"]),
    "/python-jose-all-keys": resource_server(python_jose_with_all_keys),
}
