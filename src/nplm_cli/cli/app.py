"""The ``nplm`` command: all subcommands, and the exit code of whatever happens.

0 done; 1 failed while running; 2 wrong usage or input; 130 interrupted; a closed pipe is quiet.
"""

import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from nplm_cli import __version__
from nplm_cli.cli import output
from nplm_cli.cli.parameters import Registry, plain_call, with_typer
from nplm_cli.errors import NplmError, did_you_mean
from nplm_cli.threads import let_threads_wait

if TYPE_CHECKING:
    import typer

# The module that registers each command, in the order of the help: a command line that names a
# command loads that module alone.
COMMANDS = {
    "tokenize": "corpus_commands",
    "vocab": "corpus_commands",
    "train": "train_command",
    "score": "score_command",
    "eval": "ask",
    "predict": "ask",
    "count": "ask",
    "info": "ask",
    "generate": "generate_command",
    "homework": "homework_command",
    "compare": "compare_command",
    "mix": "mix_command",
    "compile": "compile_command",
    "rescore": "rescore_command",
    "surprisal": "surprisal_command",
    "neighbors": "neighbors_command",
    "export": "vector_commands",
    "similarity": "ratings_command",
    "analogy": "ratings_command",
    "compare-vectors": "spaces_command",
    "align": "spaces_command",
    "lesson": "lesson_command",
    "explain": "explain_command",
    "gradcheck": "gradcheck_command",
    "plot": "plot_command",
}


def command_line(name: str | None = None) -> "typer.Typer":
    """Build the command line with all commands, or with the one of this name alone."""
    import typer

    app = typer.Typer(
        name="nplm",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Train and query neural language models over n-gram windows.",
    )

    def show_version(value: bool) -> None:
        if value:
            output.write_line(f"nplm {__version__}")
            raise typer.Exit

    @app.callback()
    def root(
        version: bool = typer.Option(
            False, "--version", callback=show_version, is_eager=True, help="Show the version."
        ),
    ) -> None:
        pass

    for module in dict.fromkeys(COMMANDS.values()) if name is None else (COMMANDS[name],):
        for own, function in _functions(module).items():
            if name in (None, own):
                app.command(own)(with_typer(function))
    return app


def _functions(module: str) -> dict[str, Any]:
    """Commands of a module, by name."""
    registry = Registry()
    import_module(f"nplm_cli.cli.{module}").register(registry)
    return registry.functions


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors become one line on stderr."""
    output.prepare_streams()
    let_threads_wait()
    completing = "_NPLM_COMPLETE" in os.environ  # the shell asks, about any command
    name = arguments[0] if arguments and arguments[0] in COMMANDS and not completing else None
    command: Any = None
    try:
        call = plain_call(_functions(COMMANDS[name])[name], arguments[1:]) if name else None
        if list(arguments) == ["--version"]:
            output.write_line(f"nplm {__version__}")
        elif call is not None:
            call()
        else:
            from typer.main import get_command

            command = get_command(command_line(name))
            if completing:
                command.main(list(arguments), prog_name="nplm")
            # Not main(): it would turn Ctrl-C and a closed pipe into exit codes of its own.
            with command.make_context("nplm", list(arguments)) as context:
                command.invoke(context)
        output.flush()
        return 0
    except NplmError as error:
        output.note(str(error))
        return error.exit_code
    except KeyboardInterrupt as error:
        output.note(str(error) or "interrupted")
        return 130
    except BrokenPipeError:
        # The reader went away; nothing is wrong. Keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError:
        output.note("out of memory: use less text at once, a smaller --max-size or --batch")
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        cure = ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            cure = "; what was there is whole: make room and run it again (a training: --resume)"
        output.note(f"{where}{error.strerror or error}{cure}")
        return 1
    except Exception as error:
        if isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):
            output.note("interrupted")  # while a module was being loaded
            return 130
        if "allocate" in str(error) or type(error).__name__ == "OutOfMemoryError":  # torch's
            output.note("out of memory: use a smaller --max-size, --dim, --hidden or --batch")
            return 1
        if type(error).__name__ == "Exit":  # typer's, which may not be loaded
            return error.exit_code  # type: ignore[attr-defined]
        if type(error).__name__ == "Abort":
            output.note("interrupted")
            return 130
        if type(error).__name__ == "NoArgsIsHelpError":
            output.write_line(error.format_message())  # type: ignore[attr-defined]
            return 0
        if hasattr(error, "format_message"):  # usage errors of the option parser
            output.note(_usage(error, command))
            return 2
        raise


def _usage(error: Exception, command: object) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path.removeprefix("nplm").strip() if context else ""
    message = error.format_message().rstrip(".")  # type: ignore[attr-defined]
    name = getattr(error, "option_name", None)
    if name and context:
        known = [option for p in context.command.params for option in p.opts + p.secondary_opts]
        message = f"no such option: {name}{did_you_mean(name, known)}"
    elif message.startswith("No such command"):
        typed = message.split("'")[1] if "'" in message else ""
        known = list(getattr(command, "commands", {}))
        message = f"no such command: {typed}{did_you_mean(typed, known)}"
    where = f"{path}: " if path else ""
    return (
        f"{where}{message[:1].lower()}{message[1:]} (see nplm {path + ' ' if path else ''}--help)"
    )
