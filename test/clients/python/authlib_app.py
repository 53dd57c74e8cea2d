"""Authlib with Flask: an application that signs users in, and an API."""

import requests
from authlib.integrations.flask_oauth2 import ResourceProtector, current_token
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from flask import Flask, redirect, session

from settings import AUDIENCE, ISSUER, JWKS, paste

app = Flask(__name__)
app.secret_key = "a secret of this test"

paste("authlib", {"app": app, "redirect": redirect, "session": session})


@app.get("/")
def user():
    claims = session["user"]
    return {"subject": claims["sub"], "name": claims.get("name"), "email": claims.get("email")}


class Validator(JWTBearerTokenValidator):
    def get_jwks(self):
        return requests.get(JWKS, timeout=10).json()


protected = ResourceProtector()
protected.register_token_validator(Validator(issuer=ISSUER, resource_server=AUDIENCE))


@app.get("/authlib/hello")
@protected("read")
def hello():
    return {"subject": current_token["sub"]}
