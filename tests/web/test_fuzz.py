"""Whatever is sent to the API, as its own description allows or not: it never falls over (schemathesis)."""

from collections import Counter

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error

from trueline.config import Config, LabellingConfig
from trueline.feedback.labelling.items import add_items, unjudged
from trueline.web.app import create_app
from trueline.web.site import Site

SETTINGS = settings(
    max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)
pytestmark = pytest.mark.slow


@pytest.fixture
def api(store, exchanges, tmp_path):
    store.add(exchanges)
    add_items(store, unjudged(store), 2)
    site = Site(store, Config(labelling=LabellingConfig(again=0)), tmp_path, hosts=())
    site.accounts.ensure("Ada", "admin")
    site.accounts.ensure("Bob", "admin")
    app = create_app(site)
    app.state.requests.most = app.state.tries.most = 10**9
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", app)
    schema.config.update(headers={"Authorization": f"Bearer {site.accounts.token('Bob', 'fuzz', 'test')}"})
    return schema


def test_no_request_makes_it_fall_over(api):
    statuses = Counter()
    for operation in api.get_all_operations():
        found = operation.ok()

        @settings(
            max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
        )
        @given(case=st.one_of(*(found.as_strategy(generation_mode=m) for m in GenerationMode)))
        def send(case):
            if "Bob" not in str(case.path_parameters):  # else it would throw itself out
                statuses[case.call_and_validate(checks=[not_a_server_error]).status_code] += 1

        send()
    assert statuses[200] > 50 and statuses[422] > 50, statuses  # it comes through, and it is checked
    assert not [s for s in statuses if s >= 500]
