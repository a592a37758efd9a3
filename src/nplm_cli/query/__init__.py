"""Everything a user asks of a finished run, in numpy: no command here loads torch."""

from types import ModuleType

from nplm_cli.query import attention, feedforward, recurrent, transformer

# Architecture -> module with expected_shapes, initial_state and forward; their settings are
# resolved, as those of the torch models are.
FORWARD: dict[str, ModuleType] = {
    "ffn": feedforward,
    "rnn": recurrent,
    "gru": recurrent,
    "lstm": recurrent,
    "attention": attention,
    "transformer": transformer,
}
