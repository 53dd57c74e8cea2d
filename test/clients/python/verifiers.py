"""Libraries that only verify tokens, each behind an API of a few lines."""

import json

import jose.exceptions
import jose.jwt
import jwt
import requests

from settings import AUDIENCE, ISSUER, JWKS

keys = jwt.PyJWKClient(JWKS)


def pyjwt(token):
    try:
        key = keys.get_signing_key_from_jwt(token)
        return jwt.decode(token, key, algorithms=["RS256"], audience=AUDIENCE, issuer=ISSUER)
    except jwt.PyJWTError:
        return None


def python_jose(token):
    jwks = requests.get(JWKS, timeout=10).json()
    try:
        return jose.jwt.decode(token, jwks, algorithms=["RS256"], audience=AUDIENCE, issuer=ISSUER)
    except jose.exceptions.JOSEError:
        return None


def resource_server(verify):
    """An API that answers with what verify makes of a token, and 401 if that is None."""

    def answer(environ, start_response):
        scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        claims = verify(token) if scheme == "Bearer" else None
        if claims is None:
            start_response("401 Unauthorized", [("WWW-Authenticate", "Bearer")])
            return [b""]
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"subject": claims["sub"]}).encode()]

    return answer
