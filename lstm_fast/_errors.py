"""Errors of our own."""


class FormatError(ValueError):
    """A file is not of the format that was expected, or damaged. Nothing of it was loaded."""
