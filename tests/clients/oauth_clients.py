"""authlib and requests-oauthlib against the gateway: port, then id and secret of a client that acts as itself, id and secret of
one that acts for users, a password."""

import os
import sys

os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # plain HTTP on the loopback
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

import httpx
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from oauthlib.oauth2 import BackendApplicationClient, LegacyApplicationClient
from oauthlib.oauth2.rfc6749.errors import InvalidClientError, InvalidGrantError, InvalidScopeError
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

port, batch, batch_secret, app, app_secret, password = sys.argv[1:]
url = f"http://127.0.0.1:{port}"
token_url, orders = f"{url}/auth/token", f"{url}/orders/1"

# The metadata names what is used below; it is on the public host only.
metadata = httpx.get(f"{url}/.well-known/oauth-authorization-server", headers={"Host": "gateway.test"}).json()
assert metadata["token_endpoint"].endswith("/auth/token"), metadata

# authlib: as itself, by either way to authenticate.
for method in metadata["token_endpoint_auth_methods_supported"]:
    if method == "none":
        continue
    client = OAuth2Client(batch, batch_secret, token_endpoint=token_url, token_endpoint_auth_method=method)
    token = client.fetch_token(token_url, grant_type="client_credentials")
    assert token["token_type"] == "Bearer" and "refresh_token" not in token, token
    echoed = client.get(orders).json()
    assert echoed["headers"]["x-auth-subject"] == batch, echoed
    told = client.introspect_token(f"{url}/auth/introspect", token=token["access_token"]).json()
    assert told["active"] and told["sub"] == batch and told["scope"] == "orders:read", told
    client.revoke_token(f"{url}/auth/revoke", token=token["access_token"], token_type_hint="access_token")
    told = client.introspect_token(f"{url}/auth/introspect", token=token["access_token"]).json()
    assert told == {"active": False}, told

# authlib: for a user, refreshed by itself, ended with its refresh token.
client = OAuth2Client(app, app_secret, scope="orders:read")
token = client.fetch_token(token_url, username="alice", password=password)
assert client.get(orders).json()["headers"]["x-auth-user"] == "alice"
fresh = client.refresh_token(token_url, refresh_token=token["refresh_token"])
assert fresh["refresh_token"] != token["refresh_token"] and fresh["scope"] == "orders:read", fresh
client.revoke_token(f"{url}/auth/revoke", token=fresh["refresh_token"], token_type_hint="refresh_token")
assert httpx.get(orders, headers={"Authorization": "Bearer " + fresh["access_token"]}).status_code == 401
try:
    client.fetch_token(token_url, username="alice", password="wrong")
    raise AssertionError("a wrong password was taken")
except OAuthError as error:
    assert error.error == "invalid_grant", error

# requests-oauthlib: the same with its own errors.
session = OAuth2Session(client=BackendApplicationClient(client_id=batch))
session.fetch_token(token_url, auth=HTTPBasicAuth(batch, batch_secret))
assert session.get(orders).json()["headers"]["x-auth-subject"] == batch
session = OAuth2Session(client=BackendApplicationClient(client_id=batch))
session.fetch_token(token_url, client_id=batch, client_secret=batch_secret, include_client_id=True)
for wrong, error in [({"client_secret": "wrong"}, InvalidClientError), ({"scope": "payroll"}, InvalidScopeError)]:
    try:
        arguments = {"client_secret": batch_secret, "include_client_id": True, **wrong}
        OAuth2Session(client=BackendApplicationClient(client_id=batch, scope=wrong.get("scope"))).fetch_token(
            token_url, client_id=batch, **arguments
        )
        raise AssertionError(f"{wrong} was taken")
    except error:
        pass
session = OAuth2Session(client=LegacyApplicationClient(client_id=app))
token = session.fetch_token(token_url, username="alice", password=password, auth=HTTPBasicAuth(app, app_secret))
assert session.get(orders).json()["headers"]["x-auth-user"] == "alice"
token = session.refresh_token(token_url, refresh_token=token["refresh_token"], auth=HTTPBasicAuth(app, app_secret))
assert session.get(orders).status_code == 200
try:
    session.refresh_token(token_url, refresh_token="ptr_unknown", auth=HTTPBasicAuth(app, app_secret))
    raise AssertionError("an unknown refresh token was taken")
except InvalidGrantError:
    pass
print("authlib and requests-oauthlib are served")
