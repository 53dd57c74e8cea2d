"""The Python programs of these tests, each under a path of its own, in one process."""

import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

from werkzeug.middleware.dispatcher import DispatcherMiddleware

import authlib_app
import django_app
import verifiers


class Quiet(WSGIRequestHandler):
    def log_request(self, *_):
        pass


server = make_server("127.0.0.1", 0, DispatcherMiddleware(django_app.app, {
    "/authlib": authlib_app.app,
    "/pyjwt": verifiers.resource_server(verifiers.pyjwt),
    "/python-jose": verifiers.resource_server(verifiers.python_jose),
}), handler_class=Quiet)
print(f"listening on http://127.0.0.1:{server.server_port}", file=sys.stderr, flush=True)
server.serve_forever()
