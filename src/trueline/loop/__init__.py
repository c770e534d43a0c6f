"""The whole loop: collect and label, learn a reward, align, evaluate, and round again."""
