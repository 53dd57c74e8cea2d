"""Authlib with Flask: an application that signs users in, and an API."""

import requests
from authlib.integrations.flask_client import OAuth
from authlib.integrations.flask_oauth2 import ResourceProtector, current_token
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from flask import Flask, url_for

from settings import AUDIENCE, CLIENT_SECRET, ISSUER, JWKS, METADATA

app = Flask(__name__)
app.secret_key = "a secret of this test"

oauth = OAuth(app)
oauth.register(
    "countersign",
    client_id="authlib",
    client_secret=CLIENT_SECRET,
    server_metadata_url=METADATA,
    client_kwargs={"scope": "openid profile email"},
)


@app.get("/login")
def login():
    return oauth.countersign.authorize_redirect(url_for("callback", _external=True))


@app.get("/callback")
def callback():
    user = oauth.countersign.authorize_access_token()["userinfo"]
    return {"subject": user["sub"], "name": user.get("name"), "email": user.get("email")}


class Validator(JWTBearerTokenValidator):
    def get_jwks(self):
        return requests.get(JWKS, timeout=10).json()


protected = ResourceProtector()
protected.register_token_validator(Validator(issuer=ISSUER, resource_server=AUDIENCE))


@app.get("/hello")
@protected("read")
def hello():
    return {"subject": current_token["sub"]}
