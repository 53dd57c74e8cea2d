"""The Python programs of these tests in one process, at a socket that the test has opened."""

import sys

from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server

import authlib_app
import django_app
import verifiers

app = DispatcherMiddleware(authlib_app.app, {
    "/accounts": django_app.app,
    "/simplejwt": django_app.app,
    **verifiers.apps,
})
server = make_server("127.0.0.1", 0, app, fd=3)
print(f"listening on http://127.0.0.1:{server.port}", file=sys.stderr, flush=True)
server.serve_forever()
