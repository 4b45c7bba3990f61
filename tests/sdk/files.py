"""Write, read, list and stat files; many at once; trees; exports."""

import io
import pathlib
import tarfile
import tempfile

import miosa
from _support import client, raises, sandbox

user = client()
with sandbox(user) as box:
    every_byte = bytes(range(256)) * 5000
    box.files.write("/workspace/every byte.bin", every_byte)
    assert box.files.read("/workspace/every byte.bin") == every_byte
    box.files.write("/workspace/deep/er/grün.txt", "grün\n")
    assert box.files.read_text("/workspace/deep/er/grün.txt") == "grün\n"
    assert box.read_file("deep/er/grün.txt") == "grün\n", "relative to the working directory"
    with tempfile.TemporaryDirectory() as folder:
        local = pathlib.Path(folder, "local.txt")
        local.write_text("from a file")
        box.files.upload("/workspace/local.txt", local)
    assert box.files.download("/workspace/local.txt") == b"from a file"
    box.write_file("/workspace/empty", b"")
    assert box.download("/workspace/empty") == b""

    stat = box.files.stat("/workspace/every byte.bin")
    assert stat["size"] == len(every_byte) and stat["path"] == "/workspace/every byte.bin", stat
    assert stat["type"] == "file" and stat["mode"] and stat["mtime"], stat
    listed = box.files.list("/workspace")
    names = {entry["name"] for entry in listed["entries"]}
    assert {"every byte.bin", "deep", "local.txt", "empty"} <= names, names
    deep = next(entry for entry in box.files.list("/workspace", depth=3)["entries"] if entry["name"] == "deep")
    assert deep["children"][0]["children"][0]["path"] == "/workspace/deep/er/grün.txt", deep

    tree = box.files.tree("/workspace", depth=3)
    assert tree["path"] == "/workspace" and tree["type"] == "dir" and tree["name"] == "workspace", tree
    deep = next(node for node in tree["children"] if node["name"] == "deep")
    assert deep["children"][0]["children"][0]["path"] == "/workspace/deep/er/grün.txt", deep
    assert box.files.tree("/workspace", depth=1)["children"], "one level"

    many = box.files.write_many(
        [{"path": f"/workspace/many/{n}.txt", "content": f"{n}"} for n in range(50)]
        + [{"path": "/proc/nothing/here", "content": b"x"}]
    )
    assert len(many["written"]) == 50 and [item["path"] for item in many["failed"]] == ["/proc/nothing/here"], many
    assert box.files.read_text("/workspace/many/49.txt") == "49"
    box.files.write_files([{"path": "/workspace/a.py", "data": "print(1)"}])
    assert box.exec.run("python3 a.py").stdout == "1\n"

    export = box.create_export(["/workspace/many", "/workspace/local.txt"], label="work", filename="work.tar.gz")
    assert export["id"] and export["status"] == "ready" and export["archive_download_url"], export
    assert [item["path"] for item in export["files"]] == ["/workspace/many", "/workspace/local.txt"], export
    packed = box.download_export(["/workspace/many", "/workspace/local.txt"], filename="work.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        names = archive.getnames()
        assert "workspace/local.txt" in names and "workspace/many/49.txt" in names, names
        assert archive.extractfile("workspace/many/7.txt").read() == b"7"
    assert box.create_export("/workspace/local.txt")["files"][0]["download_url"]
    assert box.download_export("/workspace/local.txt") == b"from a file"

    with raises(miosa.NotFoundError, "FILE_NOT_FOUND"):
        box.files.read("/workspace/nothing")
    with raises(miosa.NotFoundError, "FILE_NOT_FOUND"):
        box.files.stat("/workspace/nothing")
    with raises(miosa.NotFoundError, "FILE_NOT_FOUND"):
        box.create_export(["/workspace/nothing"])
    with raises(miosa.NotFoundError, "FILE_NOT_FOUND"):
        box.download_export(["/workspace/local.txt", "/workspace/nothing"])
