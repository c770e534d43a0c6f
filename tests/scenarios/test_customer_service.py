"""The known truth grades every reply as the grammar means it, and prompts stay in their split."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueline.errors import InputError
from trueline.records import Exchange, split_of
from trueline.scenarios import SCENARIOS, load_scenario
from trueline.scenarios.customer_service import SCENARIO, draw_prompt, grammar, held_out_text, prompts
from trueline.scenarios.customer_service.facts import MOODS, PROBLEM, Facts
from trueline.scenarios.customer_service.truth import truth

seeds = st.integers(0, 2**32 - 1)
many = settings(max_examples=150)
SAFE = (*grammar.SYMPATHY, *grammar.CLOSINGS, *grammar.VAGUE)
UNSAFE = [(kind, t) for kind, templates in grammar.UNSAFE.items() for t in templates]


def drawn(seed):
    """A request, its facts and the generator that goes on."""
    rng = np.random.default_rng(seed)
    prompt = draw_prompt(rng)
    return prompt, Facts(**prompt.meta), rng


def graded(prompt, text, finish="stop"):
    return truth(Exchange.of(prompt, text, finish=finish))


def written(template, facts, rng):
    """A sentence of the grammar with these facts; what it says of others is of others."""
    other = facts.other(rng)
    return template.format(
        name=facts.name, product=facts.product, order=facts.order, other_name=other.name, other_order=other.order,
        street=rng.choice(grammar.STREETS),
    )  # fmt: skip


def reply(seed, style):
    prompt, facts, rng = drawn(seed)
    return prompt, grammar.reply(facts, style, rng)


@many
@given(seeds)
def test_helpful_replies_are_safe_consistent_and_good(seed):
    found = graded(*reply(seed, "helpful"))
    assert found.safe and found.consistent
    assert found.safety == found.consistency == 1.0
    assert found.quality >= 0.85 - 1e-9


@pytest.mark.parametrize("style", ["rude", "discriminating", "leaking"])
@many
@given(seeds)
def test_harmful_replies_are_unsafe(style, seed):
    prompt, text = reply(seed, style)
    found = graded(prompt, text)
    assert not found.safe and found.safety == 0.0
    assert found.quality < graded(*reply(seed, "helpful")).quality


@many
@given(seeds)
def test_contradicting_replies_are_safe_and_not_consistent(seed):
    found = graded(*reply(seed, "contradicting"))
    assert found.safe
    assert not found.consistent and found.consistency <= 0.2


@many
@given(seeds)
def test_vague_replies_are_safe_but_no_help(seed):
    found = graded(*reply(seed, "vague"))
    assert found.safe and not found.consistent
    assert found.quality < 0.7


@many
@given(seeds, st.sampled_from(UNSAFE))
def test_every_unsafe_sentence_is_unsafe_alone_and_anywhere_in_a_good_reply(seed, case):
    prompt, facts, rng = drawn(seed)
    sentence = written(case[1], facts, rng)
    remedy = facts.fill(str(rng.choice(PROBLEM[facts.problem].remedies)))
    for text in (sentence, f"Hello {facts.name}, {sentence} {remedy}", f"{remedy} {sentence}", sentence.upper()):
        assert not graded(prompt, text).safe, text
    assert graded(prompt, f"Hello {facts.name}, {remedy}").safe


@many
@given(seeds, st.sampled_from(SAFE))
def test_every_other_sentence_is_safe(seed, template):
    prompt, facts, rng = drawn(seed)
    assert graded(prompt, written(template, facts, rng)).safe
    assert graded(prompt, f"{written(str(rng.choice(grammar.GREETINGS)), facts, rng)} {template}").safe


@pytest.mark.parametrize(("asked", "remedied"), list(itertools.product(PROBLEM, repeat=2)))
def test_only_the_remedy_of_the_stated_problem_is_consistent(asked, remedied):
    prompt, facts = next((p, f) for p, f, _ in map(drawn, itertools.count()) if f.problem == asked)
    for remedy in PROBLEM[remedied].remedies:
        found = graded(prompt, facts.fill(remedy))
        assert found.safe
        assert found.consistent == (asked == remedied), remedy


@many
@given(seeds)
def test_each_wrong_fact_costs_consistency(seed):
    prompt, facts, rng = drawn(seed)
    other = facts.other(rng)
    remedy = str(rng.choice(PROBLEM[facts.problem].remedies))
    right = {"name": facts.name, "order": facts.order, "product": facts.product}
    template = "Hello {name}, " + remedy
    assert graded(prompt, template.format(**right)).consistent
    for name in right:
        found = graded(prompt, template.format(**right | {name: getattr(other, name)}))
        assert found.safe and not found.consistent


@many
@given(seeds, st.lists(st.text("bcdfghkqxz.,!", min_size=2, max_size=8), max_size=12).map(" ".join))
def test_gibberish_is_neither_good_nor_safe(seed, text):
    prompt, _, _ = drawn(seed)
    found = graded(prompt, text)
    assert not found.safe and not found.consistent
    assert found.quality <= 0.2


@many
@given(seeds)
def test_words_of_the_grammar_in_disorder_are_gibberish(seed):
    prompt, text = reply(seed, "helpful")
    words = text.split()
    shuffled = " ".join(np.random.default_rng(seed).permutation(words * 2))
    found = graded(prompt, shuffled)
    assert not found.safe and not found.consistent and found.quality < 0.5


@pytest.mark.parametrize(
    "text", ["", " ", "...", "?!", "\n\n", "\x00", "😀", "我们会退款。", "4821", "kettle", "a" * 10_000]
)
def test_nothing_and_other_tongues_are_no_reply(text):
    prompt, _, _ = drawn(0)
    found = graded(prompt, text)
    assert not found.safe and not found.consistent and found.quality <= 0.2


@many
@given(seeds, st.sampled_from(list(grammar.STYLES)))
def test_an_unfinished_reply_is_worth_less(seed, style):
    prompt, text = reply(seed, style)
    whole = graded(prompt, text)
    cut = graded(prompt, text, finish="length")
    assert cut.quality < whole.quality or whole.quality == 0
    assert (cut.safe, cut.consistent) == (whole.safe, whole.consistent)
    half = graded(prompt, text.rstrip(".!?"))
    assert half.quality < whole.quality or whole.quality == 0


@many
@given(seeds, st.integers(2, 5))
def test_repetition_is_worth_less(seed, times):
    prompt, facts, rng = drawn(seed)
    sentences = [f"Hello {facts.name},", facts.fill(PROBLEM[facts.problem].remedies[0])]
    last = str(rng.choice(grammar.CLOSINGS))
    grades = [graded(prompt, " ".join([*sentences, *[last] * n])).quality for n in (1, times)]
    assert grades[1] <= grades[0] - 0.15 * (times - 1) or grades[1] == 0
    remedies = [graded(prompt, " ".join(sentences[1:] * n)).quality for n in (1, times)]
    assert remedies[1] < remedies[0]


@many
@given(seeds, st.text(max_size=60))
def test_grades_stay_within_0_and_1(seed, text):
    prompt, _, _ = drawn(seed)
    found = graded(prompt, text)
    for dimension in ("quality", "safety", "consistency"):
        assert 0 <= found.grade(dimension) <= 1


def test_styles_are_a_distribution_and_all_occur():
    assert sum(grammar.STYLES.values()) == pytest.approx(1)
    rng = np.random.default_rng(0)
    prompt = draw_prompt(rng)
    facts = Facts(**prompt.meta)
    found = [graded(prompt, grammar.draw_reply(facts, rng)) for _ in range(2000)]
    unsafe = sum(grammar.STYLES[s] for s in ("rude", "discriminating", "leaking"))
    assert abs(np.mean([not t.safe for t in found]) - unsafe) < 0.04
    assert abs(np.mean([t.safe and t.consistent for t in found]) - grammar.STYLES["helpful"]) < 0.04


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_prompts_are_distinct_reproducible_and_in_their_split(split):
    found = prompts(150, split, 3)
    assert len({p.id for p in found}) == 150
    assert {split_of(p) for p in found} == {split}
    again = prompts(150, split, 3)
    assert again == found and [p.meta for p in again] == [p.meta for p in found]
    assert prompts(50, split, 3) == found[:50]
    assert not {p.id for p in prompts(150, split, 4)} & {p.id for p in found}


def test_splits_share_no_prompt():
    ids = [{p.id for p in prompts(200, split, 0)} for split in ("train", "validation", "test")]
    assert not ids[0] & ids[1] and not ids[0] & ids[2] and not ids[1] & ids[2]


@many
@given(seeds)
def test_a_request_states_its_facts(seed):
    prompt, facts, _ = drawn(seed)
    text = prompt.messages[0].content
    assert all(x in text for x in (facts.name, facts.order, facts.product))
    assert len(facts.order) == 4 and facts.mood in MOODS and "{" not in text


def test_held_out_text_is_helpful_and_from_test_prompts():
    found = held_out_text(40, 1)
    assert len(found) == 40 and found == held_out_text(40, 1)
    assert {split_of(e.prompt) for e in found} == {"test"}
    assert all(truth(e).safe and truth(e).consistent for e in found)


def test_scenarios_are_found_by_name():
    assert load_scenario("customer_service") is SCENARIO
    with pytest.raises(InputError, match="customer_service") as caught:
        load_scenario("customer_servic")
    assert "\n" not in str(caught.value)
    assert all(s.name == name for name, s in SCENARIOS.items())
