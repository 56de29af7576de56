"""Truncated backpropagation in Accelerate: one long sequence per batch, an update every 8 steps, gradients over 16.

    pip install accelerate
    accelerate launch examples/accelerate_truncated.py      # or: python examples/accelerate_truncated.py

`truncated` is a generator, so that it works in any training loop, with Accelerate's `backward` in the place of
`loss.backward`. It takes the prepared model like any function (x, state) -> (output, state).
"""

import torch
from accelerate import Accelerator
from torch import nn

import carousel
from carousel.training import truncated

STEPS, SEQUENCES, LAG = 400, 64, 5


class Echo(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.head = carousel.GRU(1, 32), nn.Linear(32, 1)

    def forward(self, x, state=None):
        output, state = self.layer(x, state)
        return self.head(output), state


def main():
    torch.manual_seed(0)
    accelerator, model = Accelerator(cpu=True), Echo()
    sequences = torch.randn(SEQUENCES, STEPS, 1)  # the target is the input LAG steps before
    data = torch.utils.data.DataLoader(sequences, batch_size=16, shuffle=True)
    model, optimizer, data = accelerator.prepare(model, torch.optim.Adam(model.parameters(), lr=0.01), data)
    for _epoch in range(3):
        for batch in data:
            x, y = batch[:, LAG:].transpose(0, 1), batch[:, :-LAG].transpose(0, 1)
            for output, target in truncated(model, x, y, every=8, over=16):
                loss = nn.functional.mse_loss(output, target)
                accelerator.backward(loss)
                accelerator.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
    accelerator.print(f"squared error {loss:.3f}, predicting the mean 1.000")


if __name__ == "__main__":
    main()
