"""Training by truncated backpropagation through time: windows over lanes, carried state, exact resumption."""
