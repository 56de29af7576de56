# %% [markdown]
# # A layer in the place of `nn.LSTM`
#
# `carousel.LSTM` takes the arguments of `torch.nn.LSTM`, has the same parameters and gives the same results.

# %%
import torch
from torch import nn

import carousel

theirs = nn.LSTM(64, 128, num_layers=2)
ours = carousel.LSTM(64, 128, num_layers=2)
ours.load_state_dict(theirs.state_dict())

x = torch.randn(35, 8, 64)
(ours(x)[0] - theirs(x)[0]).abs().max()

# %% [markdown]
# A whole model is converted in place. What was replaced, and what was kept and why, is the answer.

# %%
model = nn.ModuleDict({"rnn": nn.GRU(64, 128, bidirectional=True), "head": nn.Linear(256, 2)})
carousel.from_torch(model)

# %% [markdown]
# Now the options that torch refuses are there: lengths in any order, zeros among them, and resets in mid-sequence.

# %%
layer = carousel.LSTM(64, 128, peepholes="all", zoneout=0.1, recurrent_dropout=0.2)
output, hx = layer(x, lengths=[35, 20, 0, 7, 35, 35, 3, 1])
done = torch.rand(35, 8) < 0.05
output, hx = layer(x, reset=done)
print(layer.explain())
