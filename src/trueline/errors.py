"""Errors meant for people: one line that says what is wrong, where, and what to do."""


class TruelineError(Exception):
    """Base of every error that a command shows without a traceback."""

    exit_code = 1


class InputError(TruelineError):
    """The user gave something that cannot be used: a setting, a file, a folder."""

    exit_code = 2


class RunError(TruelineError):
    """Something went wrong while running: a NaN reward, a full disk, an interrupt."""

    exit_code = 1
