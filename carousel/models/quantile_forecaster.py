"""The network that encodes the history of a series and decodes quantiles of its next values."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from carousel.layers import Recurrent

States = tuple[Tensor, ...]


class QuantileForecaster(nn.Module):
    """Quantiles of the steps ahead of an origin, as differences from the series' level there, in units of its scale.

        s_t = scan(x_t, s_t-1)                          the history; x_t (step,): the features of step t
        d_h = scan'([u_h, m_h], d_h-1),  d_0 = s_t      the steps ahead; u_h (ahead,): features known of step h
        m_h = A_h o + B_h u_h + c_h                     the anchor, a linear forecast; o (origin,): the last values
        v_h = V d_h + b                                 one number for each level
        q_h[median] = m_h + v_h[median]
        q_h[level above or below] = the next one ± softplus(v_h[level] + r_h[level])

    So quantiles never cross. V and b start at 0, so that before training the network forecasts as its anchor does.
    `set_anchor` sets the anchor and the spread r of its errors from a linear regression.

    The form "encoder-decoder" has both scans and forecasts up to `horizon` steps at once. The form "autoregressive"
    has only the first scan, which also reads u_1, and forecasts one step, d_1 = s_t. For further steps its forecasts
    are fed back as if they had been observed.

    step, origin, ahead: the widths of x, o and u. horizon: the number of steps ahead, of which one is forecast at once
        in the form "autoregressive". levels: increasing probabilities, including 0.5. form: "encoder-decoder" or
        "autoregressive".
    cell, hidden, layers: the cell of both scans, its number of units, and how many layers are stacked.
    dropout: the probability of dropout in training, of x, of the outputs and between layers.
    """

    def __init__(
        self,
        *,
        step: int,
        origin: int,
        ahead: int,
        horizon: int,
        levels: Sequence[float],
        form: str = "encoder-decoder",
        cell: str = "gru",
        hidden: int = 64,
        layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.form = form
        self.autoregressive = form == "autoregressive"
        self.at_once = 1 if self.autoregressive else horizon
        self.ahead = ahead
        self.median = list(levels).index(0.5)
        self.encoder = Recurrent(cell, step + (ahead if self.autoregressive else 0), hidden, layers)
        self.decoder = None if self.autoregressive else Recurrent(cell, ahead + 1, hidden, layers)
        self.dropout = nn.Dropout()
        self.head = nn.Linear(hidden, len(levels))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.anchor: Tensor  # [A_h, B_h, c_h]; training does not change it
        self.register_buffer("anchor", torch.zeros(self.at_once, origin + ahead + 1))
        self.spread = nn.Parameter(torch.zeros(self.at_once, len(levels)))
        self.set_dropout(dropout)

    def set_anchor(self, weights: Tensor, quantiles: Tensor) -> None:
        """Sets the anchor and the spread r of its errors. Returns nothing.

        weights: [A_h, B_h, c_h] of each step, (steps at once, origin + ahead + 1). quantiles: those of the anchor's
            errors, (steps at once, levels).
        """
        gaps = quantiles.diff(dim=1).clamp_min(1e-3)
        r = gaps + torch.log(-torch.expm1(-gaps))  # softplus(r) = gap
        middle = torch.zeros_like(quantiles[:, :1])
        with torch.no_grad():
            self.anchor.copy_(weights)
            self.spread.copy_(torch.cat([r[:, : self.median], middle, r[:, self.median :]], dim=1))

    def encode(self, steps: Tensor, mask: Tensor | None = None, state: States | None = None) -> States:
        """Reads the history. Returns the states after each step, (layers, T, B, hidden) each.

        steps: (T, B, step). mask: (T, B) bool, True from the step at which a series begins. state: the states before
            the first step, zero where None.
        """
        given = None if state is None else (state if len(state) > 1 else state[0])
        _, _, states = self.encoder(self.dropout(steps), given, mask=mask, return_states=True)
        return tuple(states.values())

    def decode(self, state: States, origins: Tensor, ahead: Tensor) -> Tensor:
        """The quantiles of the H steps after each of B origins, (H, B, levels), H at most `at_once`.

        state: the encoder's states there, each (layers, B, hidden). origins: features of the origins, (B, origin).
        ahead: the features that are known of the steps ahead, (H, B, ahead).
        """
        anchor = self.linear(origins, ahead)
        if self.decoder is None:
            outputs = state[0][-1:]
        else:
            given = state if len(state) > 1 else state[0]
            outputs, _ = self.decoder(torch.cat([ahead, anchor.unsqueeze(-1)], dim=-1), given)
        v = self.head(self.dropout(outputs))
        gaps = functional.softplus(v + self.spread[: len(ahead), None])
        m = self.median
        middle = anchor + v[..., m]
        above = middle.unsqueeze(-1) + gaps[..., m + 1 :].cumsum(dim=-1)
        below = middle.unsqueeze(-1) - gaps[..., :m].flip(-1).cumsum(dim=-1).flip(-1)
        return torch.cat([below, middle.unsqueeze(-1), above], dim=-1)

    def linear(self, origins: Tensor, ahead: Tensor) -> Tensor:
        """The anchor's forecast m_h, (H, B).

        origins: features of the origins, (B, origin). ahead: the features that are known of the steps ahead, (H, B,
            ahead).
        """
        of_origin, of_ahead = self.anchor[: len(ahead)].split([origins.shape[-1], ahead.shape[-1] + 1], dim=1)
        return of_origin @ origins.T + torch.einsum("hbu,hu->hb", ahead, of_ahead[:, :-1]) + of_ahead[:, -1:]

    def set_dropout(self, probability: float) -> None:
        """Sets the probability of dropout for all later steps. Parameters and states do not change.

        probability: the share of elements that become zero in training, from 0 to below 1.
        """
        self.dropout.p = probability
        between = probability if self.encoder.num_layers > 1 else 0.0
        self.encoder.dropout = between
        if self.decoder is not None:
            self.decoder.dropout = between


def quantile_loss(quantiles: Tensor, actual: Tensor, levels: Tensor, dim: int | None = None) -> Tensor:
    """The mean of 2 max(p (y - q), (p - 1)(y - q)) over the levels p and over the actual values y that are not NaN.

    quantiles: (..., levels); actual: (...). dim: the one axis of `actual` to average over; None: all axes. At the
    median the loss is the absolute error. Source: Koenker & Bassett (Econometrica 46, 1978).
    """
    seen = torch.isfinite(actual)
    error = torch.where(seen, actual, 0.0).unsqueeze(-1) - quantiles
    loss = 2 * torch.maximum(levels * error, (levels - 1) * error).mean(dim=-1)
    return torch.where(seen, loss, 0.0).sum(dim) / seen.sum(dim).clamp_min(1)
