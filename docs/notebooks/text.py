# %% [markdown]
# # A text, from a file to a model that writes
#
# `carousel train my.txt` does the same on the command line.

# %%
from pathlib import Path

import carousel
from carousel.training import Quiet

Path("clouds.txt").write_text("The clouds are in the sky. The fish are in the sea. " * 200)
model = carousel.LanguageModel.train("clouds.txt", hidden=32, epochs=6, out="runs/clouds", report=Quiet())
model

# %% [markdown]
# It writes, and it completes.

# %%
print(model.generate("The clouds", length=60, temperature=0.3))
model.complete("The fish are in the")

# %% [markdown]
# How well it predicts a text that it did not read.

# %%
Path("other.txt").write_text("The fish are in the sky. The clouds are in the sea.")
model.evaluate("other.txt").bits_per_character

# %% [markdown]
# The run is a folder, which `load` opens again.

# %%
carousel.LanguageModel.load("runs/clouds")
