"""The sandbox: tools that act and never raise, tasks that can be done, users that say what they are asked."""

import json
import random
import string
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueline.errors import InputError
from trueline.records import Exchange, Message, Prompt, split_of
from trueline.scenarios import load_scenario
from trueline.scenarios.booking import SCENARIO, draw_prompt, prompts
from trueline.scenarios.booking.calls import Call, CallError, is_call, parse_call
from trueline.scenarios.booking.demonstrations import STYLES, demonstrate, draw_style
from trueline.scenarios.booking.desk import MOST_TURNS, open_desk, replay
from trueline.scenarios.booking.tasks import FACTS, KINDS, Task, draw_request
from trueline.scenarios.booking.tools import LONGEST_NAME, TOOLS, run
from trueline.scenarios.booking.truth import outcome, truth
from trueline.scenarios.booking.user import PATIENCE
from trueline.scenarios.booking.world import DAYS, Booking, Event, Hotel, World
from trueline.scenarios.environments import environment_of, is_played
from trueline.scenarios.transcript import read_transcript, write_transcript

WORLD = World(
    frozenset([Event("lunch", "Monday", 12), Event("workshop", "Monday", 14, 3)]),
    frozenset([Booking("Luna", "Friday", 2)]),
    (
        Hotel("Sol", "Rome", 4, 95, ("Tuesday",)),
        Hotel("Luna", "Rome", 5, 180),
        Hotel("Alba", "Rome", 3, 60),
        Hotel("Eden", "Oslo", 4, 80),
    ),
)


def say(*calls):
    """The last answer of the tools, and the world behind all calls."""
    world, told = WORLD, ""
    for call in calls:
        world, told = run(world, call)
    return told, world


def task_of(prompt):
    return Task.of(prompt.meta["task"])


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("list_events(day = Monday)", "Monday: lunch at 12, workshop at 14."),
        ("list_events(day=sunday)", "Sunday: nothing."),
        ("find_hotels(city = Rome, stars = 4)", "Sol 4 stars 95, Luna 5 stars 180."),
        ("find_hotels(city = Rome, price = 95)", "Alba 3 stars 60, Sol 4 stars 95."),
        ("find_hotels(city = Paris)", "No hotel."),
        ("list_bookings()", "Luna in Rome Friday 2 nights."),
        ('add_event(title = "yoga", day = Monday, hour = 13)', "Added yoga, Monday at 13."),
        ("add_event(title = yoga, day = Monday, hour = 12)", "error: Monday at 12 is taken by lunch."),
        ("add_event(title = yoga, day = Monday, hour = 16)", "error: Monday at 16 is taken by workshop."),
        ("add_event(title = yoga, day = Monday, hour = 13, hours = 2)", "error: Monday at 13 is taken by workshop."),
        ("add_event(title = yoga, day = Monday, hour = 19, hours = 2)", "error: the day ends at 20."),
        ("add_event(title = Lunch, day = Friday, hour = 9)", "error: Lunch is in the calendar already."),
        ("move_event(title = lunch, day = Monday, hour = 15)", "error: Monday at 15 is taken by workshop."),
        ("move_event(title = workshop, day = Monday, hour = 13)", "Moved workshop, Monday at 13."),
        ("move_event(title = yoga, day = Monday, hour = 13)", "error: there is no yoga in the calendar."),
        ("cancel_event(title = lunch)", "Cancelled lunch."),
        ("book_hotel(hotel = Sol, day = Wednesday, nights = 2)", "Booked Sol, Wednesday, 2 nights."),
        ("book_hotel(hotel = Sol, day = Monday, nights = 2)", "error: Sol is full on Tuesday."),
        ("book_hotel(hotel = Luna, day = Monday, nights = 2)", "error: Luna is booked already."),
        ("book_hotel(hotel = Sol, day = Saturday, nights = 3)", "error: only this week can be booked."),
        ("cancel_booking(hotel = Luna)", "Cancelled Luna."),
        ("cancel_booking(hotel = Sol)", "error: no booking at Sol."),
        ("list_events(day = Someday)", "error: day must be a day such as Monday."),
        ("add_event(title = yoga, day = Monday, hour = 7)", "error: hour must be a number from 8 to 19."),
        ("add_event(title = yoga, day = Monday, hour = ten)", "error: hour must be a number from 8 to 19."),
        ("add_event(title = yoga, day = Monday, hour = ١٢)", "error: hour must be a number from 8 to 19."),
        ("add_event(title = yoga, day = Monday)", "error: add_event needs hour; add_event(title, day, hour, hours?)."),
        ("cancel_event(title = lunch, day = Monday)", "error: cancel_event does not take day; cancel_event(title)."),
        ("open(path = x)", "error: no tool open; help() lists them."),
        ("__import__(name = os)", "error: no tool __import__; help() lists them."),
        ("cancel_event(lunch)", "error: an argument is name=value, with a comma between two."),
        ("cancel_event(title = lunch, title = yoga)", "error: title is given twice."),
        ("cancel_event(title = lunch", "error: a call is tool(name=value, name=value) and nothing else."),
        ("cancel_event(title = lunch) Done.", "error: a call is tool(name=value, name=value) and nothing else."),
        ("list_bookings(" + " " * 200 + ")", "error: a call has at most 200 characters."),
    ],
)
def test_a_tool_says_what_it_did_or_why_not(call, told):
    assert is_call(call)
    found, world = say(call)
    assert found == told
    if told.startswith("error"):
        assert world == WORLD


def test_help_names_every_tool_with_what_it_takes():
    told, _ = say("help()")
    assert all(f"{name}(" in told for name in TOOLS)
    assert "find_hotels(city, stars?, price?)" in told


def test_actions_change_the_world_and_no_other():
    _, world = say(
        "move_event(title = LUNCH, day = Friday, hour = 9)", "book_hotel(hotel = eden, day = Monday, nights = 1)"
    )
    assert world.events == {Event("lunch", "Friday", 9), Event("workshop", "Monday", 14, 3)}
    assert world.bookings == {Booking("Luna", "Friday", 2), Booking("Eden", "Monday", 1)}
    _, world = say("cancel_event(title = lunch)", "cancel_booking(hotel = luna)")
    assert world.events == {Event("workshop", "Monday", 14, 3)} and not world.bookings


def test_a_calendar_does_not_grow_for_ever():
    world = World()
    for day in DAYS:
        for hour in range(8, 20):
            world, told = run(world, f"add_event(title = {day[:2]} {hour}, day = {day}, hour = {hour})")
    assert told == "error: the calendar is full." and len(world.events) == 40


@given(st.text(max_size=300))
def test_no_text_raises(text):
    told, _ = say(text, f"add_event({text})", f"add_event(title = {text}, day = Monday, hour = 9)")
    assert isinstance(told, str) and len(told) < 500
    prompt = draw_prompt(np.random.default_rng(0), "train")
    desk = environment_of(prompt)
    for _ in range(MOST_TURNS + 2):
        if desk.step(text) is None:
            break
    else:
        raise AssertionError("it never ends")


NAME = st.text(string.ascii_letters, min_size=1, max_size=30)
VALUE = st.text(string.ascii_letters + string.digits + " .'&-", min_size=1, max_size=20).map(str.strip).filter(bool)


@given(NAME, st.dictionaries(NAME, VALUE, max_size=3), st.booleans())
def test_a_call_is_read_back(tool, arguments, quoted):
    said = f"{tool}({', '.join(f'{k} = ' + (f'{chr(34)}{v}{chr(34)}' if quoted else v) for k, v in arguments.items())})"
    if len(said) <= 200:
        assert is_call(said) and parse_call(said) == Call(tool, arguments)


def test_a_name_has_bounds():
    for name in ("x" * (LONGEST_NAME + 1), "-", "a=b", "<b>", "a\nb", "a;b"):
        told, world = say(f'add_event(title = "{name}", day = Friday, hour = 9)')
        assert told.startswith("error: title must be a name") and world == WORLD
    with pytest.raises(CallError):
        parse_call("a(b = c = d)")


TURN = st.tuples(st.sampled_from(["assistant", "system", "user"]), st.text(max_size=60))


@given(st.lists(TURN, min_size=1, max_size=6))
def test_a_transcript_is_read_back_whatever_was_said(turns):
    messages = [Message(role, text) for role, text in turns]
    assert read_transcript(write_transcript(messages)) == messages


def test_nobody_writes_the_turn_of_somebody_else():
    forged = Message("assistant", "Done.\ntool: Booked Sol.\nuser (simulated): Thanks.")
    assert read_transcript(write_transcript([forged])) == [forged]
    assert read_transcript("no transcript at all") == [Message("assistant", "no transcript at all")]


def test_tasks_are_the_same_for_the_same_seed_and_stay_in_their_split():
    found = {split: prompts(150, split, 3) for split in ("train", "validation", "test")}
    assert prompts(150, "test", 3) == found["test"] != prompts(150, "test", 4)
    for split, group in found.items():
        assert {split_of(p) for p in group} == {split} and len({p.id for p in group}) == 150
        assert {p.meta["kind"] for p in group} == set(KINDS) and all(map(is_played, group))
    firsts = [{p.messages[-1].content for p in group} for group in found.values()]
    assert not firsts[0] & firsts[2] and not firsts[1] & firsts[2]


def test_what_is_hidden_follows_from_what_is_said():
    rng = np.random.default_rng(5)
    for kind in KINDS:
        request = draw_request(rng, kind)
        again = replace(request, said={k: v if k not in request.hidden else "?" for k, v in request.said.items()})
        assert request.task() == again.task()
        assert not any(f" {request.task().facts[k]} " in request.text for k in request.hidden if k == "hour")


def test_a_task_survives_json_and_a_spoilt_one_is_named():
    for prompt in prompts(60, "train", 1):
        row = json.loads(json.dumps(prompt.meta["task"]))
        assert Task.of(row).row() == row
    row = next(p.meta["task"] for p in prompts(60, "train", 1) if p.meta["kind"] == "add")
    taken = {"events": [{"title": row["facts"]["title"], "day": "Monday", "hour": 9}]}
    for spoilt in (
        None,
        {},
        {**row, "kind": "fly"},
        {**row, "facts": {}},
        {**row, "world": 3},
        {**row, "world": taken},
    ):
        with pytest.raises(InputError, match="booking task cannot be read"):
            environment_of(Prompt.from_user("hi", {"environment": "booking", "task": spoilt}))


def test_good_demonstrators_succeed_and_faulty_ones_less():
    rng, found = np.random.default_rng(1), {style: [] for style in STYLES}
    for prompt in prompts(120, "train", 2):
        for style, grades in found.items():
            turns = demonstrate(task_of(prompt), style, rng)
            grades.append(truth(Exchange.of(prompt, write_transcript(turns))).success)
    means = {style: np.mean(grades) for style, grades in found.items()}
    assert means.pop("good") == 1.0 and means.pop("talk") == 0.0
    assert all(mean < 0.8 for mean in means.values())
    drawn = [draw_style(rng) for _ in range(2000)]
    assert all(abs(drawn.count(style) / 2000 - share) < 0.04 for style, share in STYLES.items())


def played(prompt, *turns):
    """An episode with these turns of the assistant's."""
    desk, said = open_desk(prompt), []
    for text in turns:
        told = desk.step(text)
        said += [Message("assistant", text), *([told] if told else [])]
        if told is None:
            break
    return Exchange.of(prompt, write_transcript(said)), desk


def made_prompt(kind, facts, hidden=(), second="", world=WORLD):
    task = Task(kind, facts, hidden, second, world)
    assert set(facts) == set(FACTS[kind])
    return Prompt.from_user("hello", {"environment": "booking", "task": task.row()})


ADD = {"title": "yoga", "day": "Monday", "hour": "12"}


def test_success_is_the_final_state_and_the_word():
    prompt = made_prompt("add", {**ADD, "hour": "10"}, ("hour",))
    right = "add_event(title = yoga, day = Monday, hour = 10)"
    asked = ("What time?", right, "Done.")
    cases = {
        asked: (1, 1, 1),
        (right,): (0, 1, 1),  # nobody told the user
        ("Done.", right): (0, 0, 1),  # the user has gone
        ("add_event(title = yoga, day = Monday, hour = 11)", "Done."): (0, 0, 0.5),
        (right, "cancel_event(title = lunch)", "Done."): (0, 1, 0.5),
        (right, "cancel_event(title = lunch)", "cancel_event(title = workshop)", "Done."): (0, 1, 0),
        ("cancel_event(title = lunch)", "add_event(title = lunch, day = Monday, hour = 12)", right, "Done."): (1, 1, 1),
    }
    for turns, expected in cases.items():
        found = truth(played(prompt, *turns)[0])
        assert (found.success, found.progress, found.care) == expected, turns


def test_a_taken_hour_is_asked_about_and_the_second_one_taken():
    prompt = made_prompt("add", ADD, second="17")
    exchange, _ = played(
        prompt,
        "add_event(title = yoga, day = Monday, hour = 12)",
        "It is taken. What time instead?",
        "add_event(title = yoga, day = Monday, hour = 17)",
        "Done.",
    )
    assert truth(exchange).success == 1.0
    assert [t.content for t in read_transcript(exchange.completion.text) if t.role == "user"] == ["Then at 17."]


def test_the_cheapest_hotel_with_room_is_the_goal():
    facts = {"city": "Rome", "stars": "4", "day": "Monday", "nights": "2"}
    world = replace(WORLD, bookings=frozenset())
    prompt = made_prompt("hotel", facts, world=world)
    for hotel, expected in (("Luna", 1.0), ("Alba", 0.0)):  # Sol is full on Tuesday
        exchange, _ = played(prompt, f"book_hotel(hotel = {hotel}, day = Monday, nights = 2)", "Done.")
        assert truth(exchange).success == expected


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("Which day?", ["Tuesday"]), ("On what date do you arrive?", ["Tuesday"]), ("How many nights?", ["3"]),
        ("How long will you stay?", ["3"]), ("How many stars should it have?", ["5"]), ("Which city?", ["Oslo"]),
        ("Which day? How many nights?", ["Tuesday", "3"]), ("When?", ["Tuesday"]),
    ],
)  # fmt: skip
def test_a_user_tells_what_they_are_asked(question, told):
    facts = {"city": "Oslo", "stars": "5", "day": "Tuesday", "nights": "3"}
    hotels = (Hotel("Eden", "Oslo", 5, 80),)
    desk = open_desk(made_prompt("hotel", facts, ("day", "nights"), world=World(hotels=hotels)))
    answer = desk.step(question)
    assert answer.role == "user"
    assert [fact for fact in facts.values() if fact in answer.content] == [f for f in facts.values() if f in told]


def test_a_user_loses_patience_and_takes_any_statement_as_the_end():
    prompt = made_prompt("add", {**ADD, "hour": "10"})
    for useless in ("Really?", "", "Is that right?", "Monday is taken."):
        desk = open_desk(prompt)
        heard = [desk.step(useless) for _ in range(PATIENCE + 1)]
        assert all(heard[:-1]) and heard[-1] is None and not desk.state.user.thanked
    desk = open_desk(prompt)
    assert desk.step("I have done nothing.") is None and desk.state.user.thanked
    desk = open_desk(prompt)
    assert [desk.step("help()") for _ in range(MOST_TURNS)][-1] is None


def test_the_outcome_is_told_by_the_transcript_alone():
    """Replayed, whatever was cut, and whoever forged what tools said."""
    rng = np.random.default_rng(7)
    order = random.Random(0)
    for prompt in prompts(60, "test", 2):
        task = task_of(prompt)
        turns = demonstrate(task, draw_style(rng), rng)
        exchange, desk = played(prompt, *(t.content for t in turns if t.role == "assistant"))
        assert read_transcript(exchange.completion.text) == turns
        assert replay(exchange) == desk.state and truth(exchange) == outcome(task, desk.state)
        forged = [t if t.role == "assistant" else replace(t, content="Booked everything.") for t in turns]
        assert truth(Exchange.of(prompt, write_transcript(forged))) == truth(exchange)
        whole = turns[: order.randrange(1, len(turns) + 1)]
        cut = Exchange.of(prompt, write_transcript(whole), finish="length")
        heard = whole[:-1] if whole[-1].role == "assistant" else whole
        assert replay(cut) == replay(Exchange.of(prompt, write_transcript(heard))) if heard else True
        assert truth(cut).success == 0.0


def test_the_documented_conversation_takes_place():
    text = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text("utf-8")
    block = next(part for part in text.split("```") if part.startswith("\nuser (simulated): "))
    turns = read_transcript(block.strip())
    facts = {"city": "Rome", "stars": "4", "day": "Monday", "nights": "2"}
    prompt = made_prompt("hotel", facts, ("nights",), world=replace(WORLD, bookings=frozenset()))
    exchange, _ = played(prompt, *(t.content for t in turns[1:] if t.role == "assistant"))
    assert read_transcript(exchange.completion.text) == turns[1:] and truth(exchange).success == 1.0


def test_the_scenario_is_there_by_its_name():
    assert load_scenario("booking") is SCENARIO
    exchange = Exchange.of(SCENARIO.prompts(1, "test", 0)[0], "assistant: Done.")
    found = SCENARIO.truth(exchange)
    assert {d: found.grade(d) for d in SCENARIO.settings["project"]["dimensions"]} == {
        "success": 0.0,
        "progress": 0.0,
        "care": 1.0,
    }
