"""The labelling queue: what is to be judged, by whom, and what they said."""
