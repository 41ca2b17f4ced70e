"""What can go wrong in a measurement: one exception, a sentence in it."""


class BenchError(Exception):
    """A broker does not start, a round does not end, or a message is wrong."""
