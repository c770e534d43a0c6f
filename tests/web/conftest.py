"""A labelling site on either store, with people of every role."""

from __future__ import annotations

import pytest
from visitors import Pages

from trueline.config import Config, LabellingConfig
from trueline.feedback.labelling.items import add_items, unjudged
from trueline.web.app import create_app
from trueline.web.site import Site


@pytest.fixture
def pages(store, exchanges, tmp_path):
    store.add(exchanges)
    add_items(store, unjudged(store), 2)
    site = Site(store, Config(labelling=LabellingConfig(again=0)), tmp_path)
    return Pages(site, create_app(site))
