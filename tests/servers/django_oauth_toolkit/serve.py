"""
django-oauth-toolkit on 127.0.0.1 and a free port, until standard input ends.

Its database is in the working directory.
"""

import json
import os
import sys
import threading
from pathlib import Path
from wsgiref.simple_server import make_server

import django
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

SECRET = "s3cr3tV@lue!+%"
REDIRECT_URI = "http://127.0.0.1/callback"


def make_people_and_clients():
    """Register who can sign in, and the clients: one for each grant."""
    from django.contrib.auth.models import User
    from oauth2_provider.models import Application

    User.objects.create_user("alice", "alice@example.com", "ecila")
    for client_id, grant, algorithm in (
        ("machine", "client-credentials", ""),
        ("password", "password", "RS256"),
        ("web", "authorization-code", "RS256"),
        ("public", "authorization-code", "RS256"),
        ("implicit", "implicit", "RS256"),
        ("hybrid", "openid-hybrid", "RS256"),
    ):
        is_public = client_id in {"public", "implicit"}
        Application.objects.create(
            client_id=client_id,
            client_secret="" if is_public else SECRET,
            client_type="public" if is_public else "confidential",
            authorization_grant_type=grant,
            redirect_uris=REDIRECT_URI,
            post_logout_redirect_uris="http://127.0.0.1/signed-out",
            algorithm=algorithm,
        )


def stop_with_the_tests():
    """End when the tests that hold our standard input do."""
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=stop_with_the_tests, daemon=True).start()
sys.path.insert(0, str(Path(__file__).parent))
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()
call_command("migrate", verbosity=0)
make_people_and_clients()
server = make_server("127.0.0.1", 0, get_wsgi_application())
issuer = f"http://127.0.0.1:{server.server_port}/o"
# Its metadata does not name them.
unlisted = {
    "introspection_endpoint": f"{issuer}/introspect/",
    "revocation_endpoint": f"{issuer}/revoke_token/",
}
print(json.dumps({"issuer": issuer, "unlisted": unlisted}), flush=True)
server.serve_forever()
