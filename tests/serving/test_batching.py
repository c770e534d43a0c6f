"""Answers drawn beside each other: the same as the sampler draws alone, whoever comes and goes."""

import asyncio
import re

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Qwen3Config, Qwen3ForCausalLM

from trueline.policy.chat import encode_prompt
from trueline.policy.load import Policy
from trueline.policy.sampler import sample, stream
from trueline.policy.scoring import make_batch, score
from trueline.records import Prompt
from trueline.serving.batching import WAITING, Batcher, Busy, Wish
from trueline.serving.llama_slots import LlamaSlots
from trueline.serving.slots import Part
from trueline.serving.texts import Text

TEXTS = ["hello we will send", "order 12 34 kettle broken anna", "a", " ".join(["kettle lamp"] * 60), "thanks ben"]


def wish(policy, text, key, **changes):
    return Wish(
        encode_prompt(policy, Prompt.from_user(text), 500),
        key,
        **({"max_new_tokens": 20, "temperature": 1.0} | changes),
    )


@pytest.fixture(params=["llama", "qwen3, keys shared", "gpt2"])
def policy(request, tiny):
    """The fast slots, the fast slots with fewer key heads and norms on them, and the slots of any model."""
    torch.manual_seed(1)
    size = {"vocab_size": len(tiny.tokenizer), "bos_token_id": None, "eos_token_id": tiny.tokenizer.eos_token_id}
    if request.param == "llama":
        return tiny
    if request.param == "gpt2":
        model = GPT2LMHeadModel(GPT2Config(**size, n_embd=32, n_layer=2, n_head=2, n_positions=256))
    else:
        model = Qwen3ForCausalLM(
            Qwen3Config(**size, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                        num_key_value_heads=2, head_dim=8, max_position_embeddings=256, initializer_range=0.3)
        )  # fmt: skip
    return Policy(model.eval(), tiny.tokenizer, request.param)


async def whole(ticket):
    pieces = [piece async for piece in ticket]
    return "".join(p.text for p in pieces), pieces[-1].finish, pieces


def serve(policy, work, slots=4):
    batcher = Batcher(policy, slots)
    batcher.start()
    try:
        return asyncio.run(asyncio.wait_for(work(batcher), 60))
    finally:
        batcher.close()


def alone(policy, w):
    text = "".join(
        stream(policy, w.prompt, w.key, max_new_tokens=w.max_new_tokens, temperature=w.temperature, top_p=w.top_p,
               stop=w.stop)
    )  # fmt: skip
    [[drawn]] = sample(
        policy, [w.prompt], [[w.key]], max_new_tokens=w.max_new_tokens, temperature=w.temperature, top_p=w.top_p,
        stop=w.stop,
    )  # fmt: skip
    return text, "stop" if drawn.finished else "length"


def test_answers_in_a_crowd_are_those_drawn_alone(policy):
    """More answers than places, of all lengths and settings, arriving one after the other."""
    wishes = [
        wish(policy, TEXTS[i % 5], ("k", i), max_new_tokens=4 + 7 * (i % 4), temperature=(1.0, 0.7)[i % 2],
             top_p=(1.0, 0.8)[i % 3 == 0])
        for i in range(14)
    ]  # fmt: skip

    async def work(batcher):
        tasks = []
        for w in wishes:
            tasks.append(asyncio.create_task(whole(*batcher.ask([w]))))
            await asyncio.sleep(0.003)
        return await asyncio.gather(*tasks)

    for w, (text, finish, _) in zip(wishes, serve(policy, work), strict=True):
        assert (text, finish) == alone(policy, w)


def test_a_row_is_the_same_in_any_company(tiny):
    """Hidden states and logits beside 0 to 12 others, with prompts of others read in the same steps, whole or cut.

    Within rounding: not every CPU's matrix products round a row alike whatever stands beside it.
    """
    ids = [wish(tiny, text, ()).prompt for text in TEXTS]
    mine = ids[1]

    def run(others, cut):
        with torch.inference_mode():
            slots, found = LlamaSlots(tiny, 16, 256), []
            parts = [Part(1 + i, ids[i % 5], 0, True) for i in range(others)]
            if cut:
                slots.step([], [Part(0, mine[:5], 0, False)])
            found.append(slots.step([], [Part(0, mine[5 * cut :], 5 * cut, True), *parts]))
            for t in range(30):
                late = [Part(1 + others, ids[3], 0, False)] if t == 3 else []
                found.append(slots.step([(7 * t + i) % 300 for i in range(1 + others)], late))
        return torch.stack([torch.cat([logits[0], hidden[0]]) for logits, hidden in found])

    alone = run(0, False)
    for others in (0, 1, 2, 4, 7, 12):
        for cut in (False, True):
            torch.testing.assert_close(run(others, cut), alone, atol=1e-5, rtol=1e-5, msg=f"{others} others, cut {cut}")


def test_temperature_nought_is_greedy_generate(policy):
    wishes = [wish(policy, text, ("g",), temperature=0.0, top_logprobs=0) for text in TEXTS]

    async def work(batcher):
        return await asyncio.gather(*(whole(t) for t in batcher.ask(wishes)))

    for w, (_, finish, pieces) in zip(wishes, serve(policy, work), strict=True):
        out = policy.model.generate(torch.tensor([w.prompt]), max_new_tokens=20, do_sample=False, pad_token_id=0)
        expected = out[0, len(w.prompt) :].tolist()
        if finish == "stop":
            assert expected.pop() in policy.end_ids
        assert [d.token for p in pieces for d in p.drawn] == expected


def test_logprobs_are_those_of_a_scoring_pass_at_temperature_one(tiny):
    async def work(batcher):
        return await whole(*batcher.ask([wish(tiny, TEXTS[1], ("l",), temperature=0.5, top_logprobs=3)]))

    _, _, pieces = serve(tiny, work)
    drawn = [d for p in pieces for d in p.drawn]
    batch = make_batch([wish(tiny, TEXTS[1], ()).prompt], [[d.token for d in drawn]], tiny.pad_id)
    with torch.no_grad():
        expected = score(tiny.model, batch, 1.0).logprobs[0]
    assert len(drawn) > 3
    np.testing.assert_allclose([d.logprob for d in drawn], expected, atol=1e-5)
    for d in drawn:
        values = [v for _, v in d.top]
        assert len(values) == 3 and values == sorted(values, reverse=True) and values[0] >= d.logprob - 1e-6


def test_a_stop_text_ends_an_answer_and_is_not_told(tiny):
    seen = 0
    for i in range(12):
        w = wish(tiny, TEXTS[0], ("s", i), max_new_tokens=40)
        found = re.findall(r"[a-z ]{2}", alone(tiny, w)[0])
        if not found:
            continue
        seen += 1
        w = wish(tiny, TEXTS[0], ("s", i), max_new_tokens=40, stop=(found[0],))

        async def work(batcher, w=w):
            return await whole(*batcher.ask([w]))

        text, finish, _ = serve(tiny, work)
        assert (text, finish) == alone(tiny, w) and found[0] not in text
    assert seen > 2


def test_who_is_cancelled_frees_the_place_of_who_waits(tiny, monkeypatch):
    """One place; its answer would be 200 tokens long. The one behind it is there long before those would be."""
    monkeypatch.setattr(Policy, "end_ids", ())

    async def work(batcher):
        long, short = batcher.ask([wish(tiny, "a", ("never ends", i), max_new_tokens=n) for i, n in ((0, 200), (1, 2))])
        first = await long.pieces.get()
        assert first.finish is None and batcher.waiting
        long.cancel()
        assert (await whole(short))[1] == "length" and not batcher.rows
        return long.pieces.qsize()

    assert serve(tiny, work, slots=1) < 150


def test_too_many_are_refused_and_not_half_of_them_taken(tiny):
    async def work(batcher):
        with pytest.raises(Busy):
            batcher.ask([wish(tiny, "a", ("b", i)) for i in range(WAITING + 1)])
        assert not batcher.waiting

    serve(tiny, work)


def test_a_step_that_fails_fails_its_answers_and_not_the_next(tiny, monkeypatch):
    async def work(batcher):
        right = batcher.slots.step
        monkeypatch.setattr(batcher.slots, "step", lambda *_: 1 / 0)
        assert (await whole(*batcher.ask([wish(tiny, "a", ("f",))])))[1] == "failed"
        monkeypatch.setattr(batcher.slots, "step", right)
        assert (await whole(*batcher.ask([wish(tiny, "a", ("f",))])))[1] in ("stop", "length")

    serve(tiny, work)


def test_a_long_prompt_is_read_beside_those_who_draw(tiny):
    """200 tokens come in two parts at least, and the one who draws gets a token in each of these steps."""
    steps = []

    async def work(batcher):
        right = batcher.slots.step
        batcher.slots.step = lambda tokens, parts: steps.append((len(tokens), parts)) or right(tokens, parts)
        [one] = batcher.ask([wish(tiny, "a", ("one",), max_new_tokens=60)])
        await one.pieces.get()
        [other] = batcher.ask([wish(tiny, " ".join(["zzzz qqqq"] * 20), ("other",), max_new_tokens=1)])
        await whole(other)

    serve(tiny, work)
    reading = [(n, parts[0]) for n, parts in steps if parts and len(parts[0].ids) > 20]
    assert len(reading) >= 2 and all(n == 1 for n, _ in reading[:-1])


def test_one_prompt_is_read_once_for_several_answers(tiny):
    """Longer than a step reads, and asked for at once: none may take over what is not read yet."""
    wishes = [wish(tiny, TEXTS[3], ("same", i), max_new_tokens=8) for i in range(4)]
    wishes.append(wish(tiny, TEXTS[3] + " anna", ("longer",), max_new_tokens=8))
    read = []

    async def work(batcher):
        right = batcher.slots.step
        batcher.slots.step = lambda tokens, parts: read.extend(parts) or right(tokens, parts)
        return await asyncio.gather(*(whole(t) for t in batcher.ask(wishes)))

    for w, (text, finish, _) in zip(wishes, serve(tiny, work, slots=5), strict=True):
        assert (text, finish) == alone(tiny, w)
    assert sum(len(part.ids) for part in read) < 1.2 * len(wishes[0].prompt)


def test_a_text_in_pieces_is_the_whole_also_where_characters_have_several_tokens(tiny):
    words = "hello 您好 … 🙂 naïve order"
    tokens = tiny.tokenizer.encode(words)
    text = Text(tiny.tokenizer)
    pieces = [*(text.add(t) for t in tokens), text.end()]
    assert "".join(pieces) == words and "\ufffd" not in "".join(pieces)
    broken = Text(tiny.tokenizer)
    assert "".join([*(broken.add(t) for t in tokens[:-7]), broken.end()]) == tiny.tokenizer.decode(tokens[:-7])
