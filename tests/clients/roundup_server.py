"""Serve a tracker of Roundup by WSGI on a free loopback port, which is printed. Usage: roundup_server.py HOME"""

from __future__ import annotations

import sys
from wsgiref.simple_server import make_server

from roundup.cgi.wsgi_handler import RequestDispatcher  # type: ignore[import-not-found]  # as the clients

server = make_server("127.0.0.1", 0, RequestDispatcher(sys.argv[1]))
print(server.server_port, flush=True)
server.serve_forever()
