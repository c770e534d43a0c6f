"""A committee whose members think what an answer says."""

import numpy as np

from trueline.records import Scores


class Member:
    """Its score of an answer is written in the answer, at its own place."""

    dimensions = ("quality",)
    temperature = np.array([1.0])

    def __init__(self, place):
        self.place = place

    def score(self, exchanges):
        return Scores(self.dimensions, np.array([[float(e.completion.text.split()[self.place])] for e in exchanges]))
