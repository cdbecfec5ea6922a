"""Plays the life of leases and tokens with hvac, unmodified, one node after the other.

Reads the nodes' addresses and the root token from the environment and prints one line per step. Any
surprise is an exception, and so a failed run.
"""

import itertools
import os

import hvac

NODES = os.environ["NODES"].split()
MOUNT = os.environ["MOUNT"]
turn = itertools.cycle(NODES)


def client(token=None):
    """A client of the next node."""
    return hvac.Client(url=next(turn), token=token or os.environ["VAULT_TOKEN"])


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


def cluster():
    for address in NODES:
        c = hvac.Client(url=address)
        assert c.sys.is_initialized() and not c.sys.is_sealed()
        assert c.sys.read_leader_status()["ha_enabled"]
        same(c.sys.read_seal_status()["type"], "static")
    health = [hvac.Client(url=a).sys.read_health_status(method="GET") for a in NODES]
    same(sorted(200 if isinstance(h, dict) else h.status_code for h in health), [200, 429, 429])
    same(len(client().sys.read_raft_config()["data"]["config"]["servers"]), 3)


for step in (leases, tokens, policies, mounts, cluster):
    step()
    print("ok", step.__name__)
