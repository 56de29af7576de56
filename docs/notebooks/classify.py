# %% [markdown]
# # Sequences with labels, and a look inside
#
# Slow and fast swings of unequal length, in two channels.

# %%
import numpy as np

import carousel

chance = np.random.default_rng(0)


def movements(count):
    x, y = [], []
    for k in range(count):
        t = np.arange(chance.integers(20, 40)) * (0.3, 0.9)[k % 2] + chance.uniform(0, 6)
        x.append(np.stack([np.sin(t), np.cos(t)], 1) + 0.1 * chance.normal(size=(len(t), 2)))
        y.append(("slow", "fast")[k % 2])
    return x, y


model = carousel.SequenceClassifier(hidden=16, epochs=10, folds=1, bidirectional=False, seed=0)
model.fit(*movements(40))

# %%
x, y = movements(20)
print(model.predict(x[:2]), model.score(x, y))

# %% [markdown]
# The confusion matrix, beside the accuracy of always answering the commonest class.

# %%
model.evaluate(x, y).plot()

# %% [markdown]
# One step at a time: how sure the model is, as the sequence arrives.

# %%
stream = model.stream()
[round(float(stream.push(step).probabilities.max()), 2) for step in x[0][:10]]

# %% [markdown]
# What the network did at each step, on one page that opens in a browser.

# %%
carousel.inspect(model, x, item=0, out="movements")
