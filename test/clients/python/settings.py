"""Where the server is, what the API is called, and the configurations that presets print."""

import json
import os

ISSUER = os.environ["ISSUER"]
AUDIENCE = os.environ["AUDIENCE"]
JWKS = ISSUER + "/.well-known/jwks.json"
PRESETS = json.loads(os.environ["PRESETS"])


def paste(preset, names=()):
    """Runs a preset's configuration where it may use these names, and returns all names."""
    names = dict(names)
    exec(PRESETS[preset], names)
    return names
