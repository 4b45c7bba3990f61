"""Previews: expose a port, look at it, share it, and take the share back."""

import urllib.error
import urllib.parse
import urllib.request

import miosa
from _support import client, eventually, raises, sandbox

user = client()


def fetch(url, headers=None):
    """Status and body. The name is resolved here: `*.localhost` is this machine, whatever its resolver says."""
    parts = urllib.parse.urlsplit(url)
    target = urllib.parse.urlunsplit(parts._replace(netloc=f"127.0.0.1:{parts.port}"))
    request = urllib.request.Request(target, headers={"host": parts.netloc, **(headers or {})})
    opener = urllib.request.build_opener(NoRedirect)
    try:
        with opener.open(request) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


with sandbox(user) as box:
    box.files.write("/workspace/index.html", "<h1>it works</h1>")
    box.processes.start("python3 -m http.server 3000")
    url = box.expose(3000)
    info = box.expose_info(3000)
    assert info.url == url and info.url_class == "temporary_preview" and info.stable_for_embedding is False, info
    assert box.get_host(3000).startswith(f"3000-{box.slug}.") and box.get_url(3000, "a").endswith("/a")
    eventually(lambda: fetch(url)[0] == 200, what="the preview")
    assert "it works" in fetch(url)[1]
    [listed] = box.previews.list()
    assert listed["port"] == 3000 and listed["url"] == url and listed["state"] == "active", listed

    private = box.previews.create(port=3001, name="mine", visibility="private")
    assert private["visibility"] == "private" and private["name"] == "mine", private
    box.processes.start("python3 -m http.server 3001")
    assert fetch(private["url"])[0] in (401, 403), fetch(private["url"])
    shared = box.previews.share(private["id"], ttl_seconds=600)
    token = shared["preview_token"] if "preview_token" in shared else None
    link = shared.get("share_url")
    assert (token or "").startswith("miosa_pv_") and link, shared
    opened = lambda: fetch(private["url"], {"x-miosa-preview-token": token})
    eventually(lambda: opened()[0] == 200, what="the shared preview")
    assert "it works" in opened()[1]
    assert fetch(url, {"x-miosa-preview-token": token})[0] == 200
    box.previews.revoke_share(private["id"])
    assert opened()[0] in (401, 403)
    assert box.previews.get(private["id"])["id"] == private["id"]

    token = box.preview_token(expires_in=300)
    assert token["token"].startswith("mp_") and token["scope"] == "read" and token["expires_at"], token

    share = box.share.create(expires_in=600)
    assert share["share_id"] and share["share_url"] and share["expires_at"] and share["scope"] == "read", share
    assert share["share_id"] in [item["share_id"] for item in box.share.list()]
    box.share.revoke(share["share_id"])
    assert share["share_id"] not in [item["share_id"] for item in box.share.list()]

    box.previews.delete(private["id"])
    with raises(miosa.NotFoundError, "NOT_FOUND"):
        box.previews.get(private["id"])
