"""What the tests of the pages share: clients of the app, and a judgement."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi.testclient import TestClient

from trueline.web.site import Site
from trueline.web.who import csrf_of

PASSWORD = "correct horse battery"


@dataclass
class Pages:
    """The app, and a client for each person: by session, with the CSRF token."""

    site: Site
    app: object

    def client(self, name: str = "", role: str = "annotator") -> TestClient:
        client = TestClient(self.app, base_url="http://localhost", follow_redirects=False)
        if name:
            self.site.accounts.ensure(name, role)
            session = self.site.accounts.open_link(self.site.accounts.login_link(name))
            client.cookies.set("trueline_session", session)
            client.headers["X-CSRF-Token"] = csrf_of(session)
        return client


def judgement(task, preference=2, mark=4):
    marks = [dict.fromkeys(("quality", "safety", "consistency"), mark) for _ in task["answers"]]
    return {"shown": [a["id"] for a in task["answers"]], "preference": preference, "marks": marks}
