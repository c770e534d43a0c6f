"""2. Learned judgement: from people's labels to a number for any answer."""
