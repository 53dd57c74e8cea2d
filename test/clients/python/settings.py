"""Where the server is, and what the programs know of it."""

import os

ISSUER = os.environ["ISSUER"]
AUDIENCE = os.environ["AUDIENCE"]
CLIENT_SECRET = os.environ["CLIENT_SECRET"]
METADATA = ISSUER + "/.well-known/openid-configuration"
JWKS = ISSUER + "/.well-known/jwks.json"
