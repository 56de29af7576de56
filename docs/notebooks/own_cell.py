# %% [markdown]
# # A cell of your own
#
# A gate `z` is the affine map `W_z x + b_z + U_z h + c_z`. The rest is your equation, in torch's own functions.

# %%
import torch

import carousel


class LightGRU(carousel.Cell):
    gates = "z", "n"

    def step(self, h, z, n):
        z = torch.sigmoid(z)
        return z * h + (1 - z) * torch.relu(n)


layer = carousel.Recurrent(LightGRU, 16, 32, num_layers=2, bidirectional=True)
print(layer.program)

# %% [markdown]
# It is a layer at once: fused where the native engine was built, with exact gradients. `explain()` says what runs it.

# %%
x = torch.randn(50, 4, 16, requires_grad=True)
output, h = layer(x)
output.square().mean().backward()
print(layer.explain())

# %% [markdown]
# What it remembers: how gradients of a loss shrink over the steps between, and how the gates stand.

# %%
from carousel.insight import gradient_flow, read_gates

flow = gradient_flow(layer, torch.randn(200, 4, 16))
print(flow.memory_length())
read_gates(layer, x).time_constants().median()

# %% [markdown]
# The picture of the decay.

# %%
from carousel.insight import figures

figures.gradient_by_lag(flow)
