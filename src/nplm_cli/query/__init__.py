"""Everything a user asks of a finished run, in numpy: no command here loads torch."""
