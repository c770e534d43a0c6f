"""The pages: label, review, quality, data, people. Never imports torch."""
