"""The command line: options in, results out; typer lives here and nowhere else."""
