"""Single units and small networks."""
