"""
nanoidp on 127.0.0.1 and a free port, until standard input ends.

Its settings are in the working directory, where it keeps its keys, too.
"""

import json
import os
import sys
import threading

from nanoidp.app import create_app
from werkzeug.serving import make_server


def stop_with_the_tests():
    """End when the tests that hold our standard input do."""
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=stop_with_the_tests, daemon=True).start()
server = make_server("127.0.0.1", 0, create_app(".", strict_config=True), threaded=True)
print(json.dumps({"issuer": f"http://127.0.0.1:{server.port}"}), flush=True)
server.serve_forever()
