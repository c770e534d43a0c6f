"""What comes in is looked at: copies, languages, personal data. It is flagged; nothing is dropped unasked."""
