"""Plays the life of leases, tokens, logins and values with hvac, unmodified, one node after the other.

Reads the nodes' addresses and the root token from the environment and prints one line per step. Any
surprise is an exception, and so a failed run.
"""

import itertools
import os

import hvac

NODES = os.environ["NODES"].split()
MOUNT = os.environ["MOUNT"]
turn = itertools.cycle(NODES)


def client(token=None, namespace=None):
    """A client of the next node."""
    return hvac.Client(url=next(turn), token=token or os.environ["VAULT_TOKEN"], namespace=namespace)


def nobody():
    """A client of the next node that has no token yet."""
    c = client()
    c.token = None
    return c


def refused(error, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except error as e:
        return str(e)
    raise AssertionError(f"{call.__name__}{args} was not refused")


def same(got, want):
    assert got == want, f"got {got!r}, want {want!r}"


def leases():
    made = client().write(f"{MOUNT}/a", ttl="1h", data={"host": "ci-7"})
    lease = made["lease_id"]
    assert lease.startswith(f"{MOUNT}/a/"), lease
    same((made["lease_duration"], made["renewable"], made["data"]), (3600, True, {"host": "ci-7"}))
    found = client().sys.read_lease(lease_id=lease)["data"]
    same((found["id"], found["renewable"], found["last_renewal"]), (lease, True, None))
    same(client().sys.renew_lease(lease_id=lease, increment=1800)["lease_duration"], 1800)
    same(client().sys.renew_lease(lease_id=lease)["lease_id"], lease)
    same(client().sys.list_leases(prefix=MOUNT)["data"]["keys"], ["a/"])
    assert client().sys.revoke_lease(lease_id=lease).ok
    assert "lease not found" in refused(hvac.exceptions.InvalidRequest, client().sys.renew_lease, lease_id=lease)
    assert "invalid lease" in refused(hvac.exceptions.InvalidRequest, client().sys.read_lease, lease_id=lease)
    for revoke in (lambda p: client().sys.revoke_prefix(prefix=p), lambda p: client().sys.revoke_force(prefix=p)):
        lease = client().write(f"{MOUNT}/b", ttl="1h")["lease_id"]
        assert revoke(f"{MOUNT}/b").ok
        refused(hvac.exceptions.InvalidRequest, client().sys.renew_lease, lease_id=lease)
    refused(hvac.exceptions.InvalidPath, client().sys.list_leases, prefix="no/such")


def tokens():
    made = client().auth.token.create(ttl="1h", policies=["default"], meta={"team": "core"}, num_uses=0)["auth"]
    token, accessor = made["client_token"], made["accessor"]
    assert client(token).is_authenticated()
    found = client().auth.token.lookup(token)["data"]
    same((found["id"], found["accessor"], found["policies"], found["meta"]), (token, accessor, ["default"], {"team": "core"}))
    same(client(token).auth.token.lookup_self()["data"]["path"], "auth/token/create")
    same(client().auth.token.lookup_accessor(accessor)["data"]["id"], "")
    same(client().auth.token.renew(token, increment=600)["auth"]["lease_duration"], 600)
    same(client(token).auth.token.renew_self(increment=700)["auth"]["client_token"], token)
    same(client().auth.token.renew_accessor(accessor, increment=800)["auth"]["lease_duration"], 800)
    refused(hvac.exceptions.Forbidden, client(token).sys.list_leases, prefix=MOUNT)
    orphan = client().auth.token.create(ttl="1h", no_parent=True)["auth"]
    same(orphan["orphan"], True)
    assert client().auth.token.revoke_and_orphan_children(orphan["client_token"]).ok
    assert client().auth.token.revoke_accessor(accessor).ok
    assert not client(token).is_authenticated()
    other = client().auth.token.create(ttl="1h")["auth"]["client_token"]
    assert client().auth.token.revoke(other).ok
    refused(hvac.exceptions.Forbidden, client(other).auth.token.lookup_self)
    mine = client().auth.token.create(ttl="1h")["auth"]["client_token"]
    assert client(mine).auth.token.revoke_self().ok
    assert not client(mine).is_authenticated()


def policies():
    name, text = "hvac-policy", 'path "sys/leases/count" { capabilities = ["read"] }'
    assert client().sys.create_or_update_policy(name=name, policy=text).ok
    same(client().sys.read_policy(name)["data"]["rules"], text)
    assert name in client().sys.list_policies()["data"]["policies"]
    token = client().auth.token.create(ttl="1h", policies=[name])["auth"]["client_token"]
    same(client(token).read("sys/leases/count")  # no type: not found, which hvac reads as None
         , None)
    refused(hvac.exceptions.Forbidden, client(token).read, "sys/leases")
    assert client().sys.delete_policy(name).ok


def mounts():
    path = "hvac-mount"
    assert client().sys.enable_secrets_engine("lease", path=path, config={"default_lease_ttl": "10m"}).ok
    same(client().sys.list_mounted_secrets_engines()["data"][f"{path}/"]["type"], "lease")
    assert client().sys.tune_mount_configuration(path=path, default_lease_ttl="20m").ok
    same(client().sys.read_mount_configuration(path=path)["data"]["default_lease_ttl"], 1200)
    same(client().write(f"{path}/x")["lease_duration"], 1200)
    assert client().sys.disable_secrets_engine(path=path).ok
    refused(hvac.exceptions.InvalidPath, client().write, f"{path}/x")


def userpass():
    path = "hvac-people"
    assert client().sys.enable_auth_method("userpass", path=path, config={"default_lease_ttl": "10m"}).ok
    same(client().sys.list_auth_methods()["data"][f"{path}/"]["type"], "userpass")
    assert client().sys.tune_auth_method(path=path, default_lease_ttl="20m").ok
    same(client().sys.read_auth_method_tuning(path=path)["data"]["default_lease_ttl"], 1200)
    assert client().auth.userpass.create_or_update_user("ann", password="open sesame", policies="ops", mount_point=path).ok
    same(client().auth.userpass.list_user(mount_point=path)["data"]["keys"], ["ann"])
    c = nobody()
    made = c.auth.userpass.login("ann", "open sesame", mount_point=path)["auth"]
    same((made["lease_duration"], made["policies"], made["metadata"]), (1200, ["default", "ops"], {"username": "ann"}))
    assert c.is_authenticated()  # it has taken the token over
    same(client(made["client_token"]).auth.token.lookup_self()["data"]["path"], f"auth/{path}/login/ann")
    for name, word in (("ann", "close sesame"), ("bob", "open sesame")):
        assert "invalid username or password" in refused(
            hvac.exceptions.InvalidRequest, nobody().auth.userpass.login, name, word, mount_point=path)
    assert client().auth.userpass.update_password_on_user("ann", "new", mount_point=path).ok
    refused(hvac.exceptions.InvalidRequest, nobody().auth.userpass.login, "ann", "open sesame", mount_point=path)
    other = nobody().auth.userpass.login("ann", "new", mount_point=path)["auth"]["client_token"]
    assert client().sys.disable_auth_method(path=path).ok
    for token in made["client_token"], other:
        assert not client(token).is_authenticated()


def approle():
    path = "hvac-machines"
    assert client().sys.enable_auth_method("approle", path=path).ok
    assert client().auth.approle.create_or_update_approle(
        "ci", token_policies=["ops"], token_ttl="30m", secret_id_num_uses=2, mount_point=path).ok
    same(client().auth.approle.read_role("ci", mount_point=path)["data"]["token_ttl"], 1800)
    role_id = client().auth.approle.read_role_id("ci", mount_point=path)["data"]["role_id"]
    made = client().auth.approle.generate_secret_id("ci", metadata={"host": "ci-7"}, mount_point=path)["data"]
    for _ in range(2):
        auth = nobody().auth.approle.login(role_id, made["secret_id"], mount_point=path)["auth"]
        same((auth["lease_duration"], auth["metadata"]), (1800, {"role_name": "ci", "host": "ci-7"}))
    assert "invalid role or secret ID" in refused(
        hvac.exceptions.InvalidRequest, nobody().auth.approle.login, role_id, made["secret_id"], mount_point=path)

    wrapped = client().write(f"auth/{path}/role/ci/secret-id", wrap_ttl="60s")["wrap_info"]
    same((wrapped["ttl"], wrapped["creation_path"]), (60, f"auth/{path}/role/ci/secret-id"))
    secret_id = client(wrapped["token"]).sys.unwrap()["data"]["secret_id"]
    assert nobody().auth.approle.login(role_id, secret_id, mount_point=path)["auth"]["client_token"]
    assert client().sys.disable_auth_method(path=path).ok


def wrapping():
    wrapped = client().auth.token.create(ttl="1h", wrap_ttl="90s")["wrap_info"]
    same(wrapped["ttl"], 90)
    auth = client().sys.unwrap(wrapped["token"])["auth"]
    same(auth["accessor"], wrapped["wrapped_accessor"])
    assert client(auth["client_token"]).is_authenticated()
    for _ in range(3):
        assert "wrapping token is not valid or does not exist" in refused(
            hvac.exceptions.InvalidRequest, client().sys.unwrap, wrapped["token"])


def kv():
    path = "hvac-values"
    assert client().sys.enable_secrets_engine("kv", path=path, options={"version": "1"}).ok
    v1 = lambda: client().secrets.kv.v1
    for value in {"user": "robot", "n": 7}, {"user": "other", "list": ["a", {"b": None}]}:  # made, then replaced
        assert v1().create_or_update_secret("ci/deploy", secret=value, mount_point=path).ok
        for _ in NODES:
            same(v1().read_secret("ci/deploy", mount_point=path)["data"], value)
    same(v1().list_secrets("ci", mount_point=path)["data"]["keys"], ["deploy"])
    assert v1().delete_secret("ci/deploy", mount_point=path).ok
    for _ in NODES:
        refused(hvac.exceptions.InvalidPath, v1().read_secret, "ci/deploy", mount_point=path)
    assert client().sys.disable_secrets_engine(path=path).ok


def namespaces():
    same(client().sys.create_namespace("hvac")["data"]["path"], "hvac/")
    assert "hvac/" in client().sys.list_namespaces()["data"]["keys"]
    assert client(namespace="hvac").sys.enable_secrets_engine("lease", path="locks").ok
    lease = client(namespace="hvac").write("locks/a", ttl="1h")["lease_id"]
    same(client(namespace="hvac").sys.read_lease(lease_id=lease)["data"]["namespace_path"], "hvac/")
    refused(hvac.exceptions.InvalidRequest, client().sys.read_lease, lease_id=lease)
    token = client(namespace="hvac").auth.token.create(ttl="1h")["auth"]["client_token"]
    assert client(token, "hvac").is_authenticated() and not client(token).is_authenticated()
    client().sys.delete_namespace("hvac")
    assert not client(token, "hvac").is_authenticated()


def capabilities():
    name = "hvac-capabilities"
    assert client().sys.create_or_update_policy(name=name, policy='path "a/*" { capabilities = ["read", "list"] }').ok
    made = client().auth.token.create(ttl="1h", policies=[name])["auth"]
    for way in {"token": made["client_token"]}, {"accessor": made["accessor"]}:
        found = client().sys.get_capabilities(paths=["a/b", "c"], **way)["data"]
        same((found["a/b"], found["c"]), (["list", "read"], ["deny"]))
    same(client(made["client_token"]).sys.get_capabilities(paths=["a/b"])["data"]["a/b"], ["list", "read"])
    assert made["accessor"] in client().auth.token.list_accessors()["data"]["keys"]
    assert client().auth.token.revoke_accessor(made["accessor"]).ok
    assert client().sys.delete_policy(name).ok


def cluster():
    for address in NODES:
        c = hvac.Client(url=address)
        assert c.sys.is_initialized() and not c.sys.is_sealed()
        assert c.sys.read_leader_status()["ha_enabled"]
        same(c.sys.read_seal_status()["type"], "static")
    health = [hvac.Client(url=a).sys.read_health_status(method="GET") for a in NODES]
    same(sorted(200 if isinstance(h, dict) else h.status_code for h in health), [200, 429, 429])
    same(len(client().sys.read_raft_config()["data"]["config"]["servers"]), 3)


for step in (leases, tokens, policies, mounts, userpass, approle, wrapping, kv, namespaces, capabilities, cluster):
    step()
    print("ok", step.__name__)
