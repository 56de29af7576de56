"""Truncated backpropagation in Lightning: windows of an endless stream, with the state carried from one to the next.

    pip install lightning
    python examples/lightning_truncated.py

Lightning no longer divides sequences itself, and it need not: the windows come in order, and `Carry` keeps the detached
state between them. The target is the input 2 steps before, which for half of the steps of a window of 4 stands in the
window before. Without the carry the error would stay at 0.5.
"""

import lightning
import torch
from torch import nn

import carousel
from carousel.training import Carry

STEPS, LANES, WINDOW, LAG = 600, 16, 4, 2


class Echo(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer, self.head, self.carry = carousel.LSTM(1, 32), nn.Linear(32, 1), Carry()

    def on_train_epoch_start(self):
        self.carry = Carry()  # the stream begins again

    def training_step(self, batch):
        x, y = batch  # (T, B, 1), the steps that follow those of the batch before
        output, self.carry.state = self.layer(x, self.carry.state)
        self.last = nn.functional.mse_loss(self.head(output), y)
        return self.last

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


def windows():
    """Windows in time order; DataLoader must neither batch nor shuffle them (batch_size=None, shuffle=False)."""
    stream = torch.randn(STEPS, LANES, 1)
    return list(zip(stream[LAG:].split(WINDOW), stream[:-LAG].split(WINDOW), strict=True))


if __name__ == "__main__":
    lightning.seed_everything(0)
    model, data = Echo(), torch.utils.data.DataLoader(windows(), batch_size=None, shuffle=False)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    lightning.Trainer(max_epochs=2, accelerator="cpu", gradient_clip_val=1.0, **quiet).fit(model, data)
    print(f"squared error {model.last:.3f}, predicting the mean 1.000")
