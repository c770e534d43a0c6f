"""Customers' requests: who writes, about which order and product, with what problem, in what mood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NAMES = tuple(
    "Anna Ben Clara David Elena Felix Grace Hugo Ines Jonas Karim Laura Marco Nina Oscar Paula Quentin Rosa Samir "
    "Tara Umar Vera Walter Xenia Yusuf Zoe Aisha Bruno Carmen Dmitri Emma Farah Georg Hana Ivan Julia Kofi Leila "
    "Mei Noah".split()
)
PRODUCTS = (
    "kettle", "toaster", "lamp", "backpack", "jacket", "keyboard", "monitor", "blender", "camera", "tent", "bicycle",
    "carpet", "mirror", "printer", "speaker", "watch", "sofa", "desk", "chair", "drill", "heater", "fan", "radio",
    "tablet", "phone", "guitar", "scooter", "vacuum", "pillow", "suitcase",
)  # fmt: skip
MOODS = ("calm", "friendly", "worried", "angry")


@dataclass(frozen=True)
class Problem:
    """One thing that goes wrong: how customers say it, and what a good agent does about it."""

    key: str
    says: tuple[str, ...]
    remedies: tuple[str, ...]


PROBLEMS = (
    Problem(
        "broken",
        ("My {product} from order {order} arrived broken.", "The {product} in order {order} is broken."),
        ("We will replace the broken {product} from order {order} this week.",
         "A replacement for the {product} in order {order} leaves today."),
    ),
    Problem(
        "late",
        ("My {product} is late, the order is {order}.", "I still wait for the {product} from order {order}."),
        ("Order {order} with your {product} is on its way and arrives tomorrow.",
         "We traced the parcel of order {order}, your {product} arrives on Friday."),
    ),
    Problem(
        "refund",
        ("I sent back the {product} from order {order} and want my money.",
         "Please pay me back for the {product}, order {order}."),
        ("We refund the {product} from order {order} to your account today.",
         "The money for the {product} in order {order} is with you in three days."),
    ),
    Problem(
        "missing",
        ("A part of my {product} is missing, order {order}.", "Order {order} came without a part of the {product}."),
        ("We send the missing part of the {product} from order {order} for free.",
         "The missing part of your {product} in order {order} was posted today."),
    ),
    Problem(
        "cancel",
        ("Please cancel order {order} for the {product}.", "I do not need the {product} any more, stop order {order}."),
        ("We have cancelled order {order} for the {product}.",
         "Order {order} is cancelled and the {product} will not be sent."),
    ),
    Problem(
        "invoice",
        ("I need an invoice for the {product}, order {order}.",
         "The invoice for order {order}, the {product}, is wrong."),
        ("The new invoice for the {product} in order {order} is in your mailbox.",
         "We mail you the invoice of order {order} for the {product} now."),
    ),
    Problem(
        "address",
        ("I moved, please send the {product} from order {order} to my new address.",
         "The address on order {order} for the {product} is old."),
        ("We changed the address of order {order}, so the {product} goes to your new home.",
         "Your new address is now on order {order} for the {product}."),
    ),
    Problem(
        "setup",
        ("I can not switch on the {product} from order {order}.", "How do I start my {product}, order {order}?"),
        ("Press the red button of the {product} from order {order} for five seconds.",
         "To start the {product} from order {order}, hold the red button."),
    ),
)  # fmt: skip
PROBLEM = {problem.key: problem for problem in PROBLEMS}

_OPENINGS = ("Hello, I am {name}.", "Hi, this is {name}.", "My name is {name}.", "{name} here.")
_MOOD_SAYS = {
    "calm": ("", "What can you do?", "Please help."),
    "friendly": ("Thanks a lot!", "You are always kind, thank you."),
    "worried": ("I am worried about it.", "Is everything lost?"),
    "angry": ("This is unacceptable!", "I am really angry now!"),
}


@dataclass(frozen=True)
class Facts:
    """What a request states; `order` is four digits, each pair of them 10 to 99."""

    name: str
    order: str
    product: str
    problem: str
    mood: str

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Facts:
        return cls(
            name=str(rng.choice(NAMES)),
            order=f"{rng.integers(10, 100)}{rng.integers(10, 100)}",
            product=str(rng.choice(PRODUCTS)),
            problem=PROBLEMS[rng.integers(len(PROBLEMS))].key,
            mood=str(rng.choice(MOODS)),
        )

    def request(self, rng: np.random.Generator) -> str:
        parts = (
            rng.choice(_OPENINGS),
            rng.choice(PROBLEM[self.problem].says),
            rng.choice(_MOOD_SAYS[self.mood]),
        )
        return self.fill(" ".join(p for p in parts if p))

    def fill(self, template: str) -> str:
        return template.format(name=self.name, order=self.order, product=self.product)

    def other(self, rng: np.random.Generator) -> Facts:
        """Facts that differ from these in order, product and name; the problem may stay."""
        while True:
            drawn = Facts.draw(rng)
            if drawn.order != self.order and drawn.product != self.product and drawn.name != self.name:
                return drawn
