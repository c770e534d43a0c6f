"""As much of the Hugging Face hub's HTTP as an upload asks for, on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hub:
    """repos: private or not, by name; files: their content, by name; tokens: those that were shown."""

    def __init__(self, public=()) -> None:
        self.repos: dict[str, bool] = dict.fromkeys(public, False)
        self.files: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self.tokens: set[str | None] = set()
        self.asked: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def answer(self, value, code=200):
                body = json.dumps(value).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def body(self):
                if "chunked" in self.headers.get("Transfer-Encoding", ""):
                    found = b""
                    while size := int(self.rfile.readline(), 16):
                        found += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                    return found
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))

            def do_GET(self):
                hub.asked.append(f"GET {self.path}")
                name = self.path.removeprefix("/api/models/").partition("/revision/")[0].partition("?")[0]
                if name not in hub.repos:
                    return self.answer({"error": "not found"}, 404)
                return self.answer(
                    {"id": name, "private": hub.repos[name], "sha": "0" * 40, "siblings": [], "tags": []}
                )

            def do_PUT(self):
                hub.blobs[self.path.rsplit("/", 1)[1]] = self.body()
                self.answer({})

            def do_POST(self):
                hub.asked.append(f"POST {self.path}")
                hub.tokens.add(self.headers.get("Authorization"))
                raw, path = self.body(), self.path.partition("?")[0]
                if path == "/api/repos/create":
                    said = json.loads(raw)
                    name = f"{said['organization']}/{said['name']}" if said.get("organization") else said["name"]
                    known = name in hub.repos
                    hub.repos.setdefault(name, said.get("visibility") == "private")
                    return self.answer({"url": f"{hub.url}/{name}"}, 409 if known else 200)
                if path == "/api/validate-yaml":
                    return self.answer({"errors": [], "warnings": []})
                if "/preupload/" in path:
                    files = [
                        {"path": f["path"], "uploadMode": "lfs" if f["path"].endswith(".safetensors") else "regular",
                         "shouldIgnore": False}
                        for f in json.loads(raw)["files"]
                    ]  # fmt: skip
                    return self.answer({"files": files})
                if path.endswith("/info/lfs/objects/batch"):
                    objects = [
                        {**o, "actions": {"upload": {"href": f"{hub.url}/blob/{o['oid']}", "header": {}}}}
                        for o in json.loads(raw)["objects"]
                    ]
                    return self.answer({"transfer": "basic", "objects": objects})
                if "/commit/" in path:
                    where = path.removeprefix("/api/models/").partition("/commit/")[0]
                    for line in raw.splitlines():
                        row = json.loads(line)
                        if row["key"] == "file":
                            hub.files[row["value"]["path"]] = base64.b64decode(row["value"]["content"])
                        elif row["key"] == "lfsFile":
                            blob = hub.blobs[row["value"]["oid"]]
                            assert hashlib.sha256(blob).hexdigest() == row["value"]["oid"]
                            hub.files[row["value"]["path"]] = blob
                    return self.answer({"commitUrl": f"{hub.url}/{where}/commit/{'0' * 40}", "commitOid": "0" * 40})
                return self.answer({"error": f"the stand-in knows no {path}"}, 404)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
