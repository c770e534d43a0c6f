"""A labelling site on either store, with people of every role."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from fastapi.testclient import TestClient

from trueline.config import Config, LabellingConfig
from trueline.feedback.labelling.items import add_items, unjudged
from trueline.web.app import create_app
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


@pytest.fixture
def pages(store, exchanges, tmp_path):
    store.add(exchanges)
    add_items(store, unjudged(store), 2)
    site = Site(store, Config(labelling=LabellingConfig(again=0)), tmp_path)
    return Pages(site, create_app(site))


def judgement(task, preference=2, mark=4):
    marks = [dict.fromkeys(("quality", "safety", "consistency"), mark) for _ in task["answers"]]
    return {"shown": [a["id"] for a in task["answers"]], "preference": preference, "marks": marks}
