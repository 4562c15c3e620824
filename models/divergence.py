"""The error that ends a training whose numbers have left the finite ones."""


class Diverged(ArithmeticError):
    """A loss or metric is NaN or infinite.

    Attributes:
        quantity: which, `train_loss` for one.
        value: what it is.
        epoch: counted from 1.
        step: how many optimizer steps were begun, over all epochs.
        reason: the word for it in a ledger.
    """

    reason = "diverged"

    def __init__(self, quantity: str, value: float, epoch: int, step: int) -> None:
        super().__init__(quantity, value, epoch, step)
        self.quantity, self.value, self.epoch, self.step = quantity, value, epoch, step

    def __str__(self) -> str:
        return (
            f"{self.quantity} is {self.value} at optimizer step {self.step} (epoch {self.epoch}); "
            "a smaller lr, step or clip_norm may help"
        )
