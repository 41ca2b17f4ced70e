"""What can go wrong in a bench."""


class BenchError(Exception):
    """A round has no figure; the text says why."""


class LostError(BenchError):
    """Messages did not arrive: a broker that loses them is not ranked.

    Attributes:
        lost: How many, at the least.
        sent: Of how many.
    """

    def __init__(self, lost: int, sent: int) -> None:
        super().__init__(lost, sent)
        self.lost = lost
        self.sent = sent

    def __str__(self) -> str:
        return f"{self.lost:,} of {self.sent:,} messages did not arrive"
