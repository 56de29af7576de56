"""A recurrent policy learns a task that needs memory: rollouts by a stepper, updates over whole windows with reset=.

    python examples/recurrent_policy.py

The usual loop of reinforcement learning calls a recurrent layer with one step at a time, in the update too, because an
episode may end anywhere. Here a rollout goes through a stepper, which holds the state of every environment, and the
update is one call over all steps: `reset=` says where episodes began, and no gradient passes there.

The task: the first observation of an episode shows a signal, -1 or 1; then comes noise; at the last step the action
must name the signal. A policy without memory earns 0.5. Learning is REINFORCE with the mean reward as baseline.
"""

from __future__ import annotations

import torch
from torch import nn

import carousel

ENVIRONMENTS, STEPS, LENGTH, HIDDEN = 64, 32, 5, 32


class Recall:
    """Environments of which each shows its signal at the first of LENGTH steps, and begins anew after the last."""

    def __init__(self, seed: int):
        self.random = torch.Generator().manual_seed(seed)
        # They begin at different times.
        self.time = torch.randint(LENGTH, (ENVIRONMENTS,), generator=self.random)
        self.signal = torch.randint(2, (ENVIRONMENTS,), generator=self.random)

    def observe(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Observations (B, 2): signal or noise, and whether to answer; and where an episode begins, (B)."""
        begins = self.time == 0
        noise = 0.3 * torch.randn(ENVIRONMENTS, generator=self.random)
        shown = torch.where(begins, 2.0 * self.signal - 1, noise)
        return torch.stack([shown, (self.time == LENGTH - 1).float()], -1), begins

    def act(self, action: torch.Tensor) -> torch.Tensor:
        """Rewards (B): 1 for the right answer at an episode's last step."""
        ends = self.time == LENGTH - 1
        reward = (ends & (action == self.signal)).float()
        self.time = (self.time + 1) % LENGTH
        fresh = torch.randint(2, (ENVIRONMENTS,), generator=self.random)
        self.signal = torch.where(ends, fresh, self.signal)
        return reward


class Policy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.memory = carousel.GRU(2, HIDDEN)
        self.head = nn.Linear(HIDDEN, 2)


def rollout(policy: Policy, world: Recall, hx: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Observations, beginnings, actions and rewards of STEPS steps from the states hx, and the states after them."""
    stepper = policy.memory.stepper(batch=ENVIRONMENTS)  # with the weights as they are now
    stepper.state = hx
    taken = []
    with torch.no_grad():
        for _ in range(STEPS):
            seen, begins = world.observe()
            stepper.reset(begins)
            action = torch.distributions.Categorical(logits=policy.head(stepper(seen))).sample()
            taken.append((seen, begins, action, world.act(action)))
    return (*map(torch.stack, zip(*taken, strict=True)), stepper.state)


def loss_of(
    policy: Policy, hx: torch.Tensor, seen: torch.Tensor, begins: torch.Tensor, *taken: torch.Tensor
) -> torch.Tensor:
    """REINFORCE over a whole window: its states are those of the rollout, without a loop over its steps."""
    action, reward = taken
    output, _ = policy.memory(seen, hx, reset=begins)
    log_p = torch.distributions.Categorical(logits=policy.head(output)).log_prob(action)
    answers = seen[..., 1] == 1
    return -(log_p * (reward - reward[answers].mean()))[answers].mean()


def main(updates: int = 40, seed: int = 0) -> float:
    """Trains a policy; returns the share of right answers in the last ten rollouts."""
    torch.manual_seed(seed)
    world, policy = Recall(seed), Policy()
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.01)
    hx, scores = torch.zeros(1, ENVIRONMENTS, HIDDEN), []
    for update in range(updates):
        *window, after = rollout(policy, world, hx)
        loss = loss_of(policy, hx, *window)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen, reward = window[0], window[3]
        scores.append(float(reward[seen[..., 1] == 1].mean()))
        hx = after
        if update % 10 == 0:
            print(f"update {update}: {scores[-1]:.0%} of the answers are right", flush=True)
    share = sum(scores[-10:]) / 10
    print(f"in the last ten rollouts {share:.0%} of the answers are right; without memory 50%")
    return share


if __name__ == "__main__":
    main()
