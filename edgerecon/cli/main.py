"""The ``edgerecon`` command. Its verbs are in ``edgerecon.cli.verbs``, one thin function each: parse, call, print.

Exit status: 0 done, 1 the work failed or a gate refused (one line on stderr), 2 wrong usage, 130 on Ctrl-C.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer

from edgerecon.cli.verbs import (
    adapt,
    adopt,
    beamform,
    bench,
    build,
    bundle,
    catalogue,
    demo,
    doctor,
    evaluate,
    explain,
    export,
    fit,
    kernels,
    recover,
    serve,
    simulate,
    stream,
    study,
    train,
)
from edgerecon.cli.verbs.kinds_help import ListingCommand
from edgerecon.cli.verbs.output import INTERRUPTED
from edgerecon.core import __version__
from edgerecon.core.errors import DependencyError, EdgereconError, LoadError, UsageError, printable

_log = logging.getLogger(__name__)

app = typer.Typer(
    name="edgerecon",
    help="Deep-learning ultrasound reconstruction, in real time, on the device at hand. Not a medical device.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for verb in (
    *(demo.demo, doctor.doctor, recover.recover, serve.serve, bench.bench),
    *(simulate.simulate, train.train, evaluate.evaluate, explain.explain, study.study),
    *(catalogue.models, catalogue.devices),
    *(adapt.adapt, adopt.adopt, export.export, build.build, fit.fit, bundle.bundle, bundle.install),
):
    app.command()(verb)
app.command(cls=ListingCommand)(stream.stream)
app.command(cls=ListingCommand)(beamform.beamform)
app.add_typer(kernels.app, name="kernels")


def main() -> None:
    """Run the command line; every error that a user can cause becomes one line on stderr."""
    _prepare_screens()
    try:
        try:
            _refuse_empty(sys.argv[1:])
            app()
        finally:
            sys.stdout.flush()
    except EdgereconError as error:
        _leave(error)
    except ModuleNotFoundError as error:  # a verb of the workshop on a device install
        package = (error.name or "edgerecon").partition(".")[0]
        if package == "edgerecon":
            raise
        _leave(DependencyError(package, "train"))
    except ImportError as error:  # installed, and its libraries do not load
        _leave(LoadError((error.name or "a package").partition(".")[0], error))
    except MemoryError:
        _leave(EdgereconError("out of memory: take a smaller file or frame, or free memory"))
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone, as `| head` does
        sys.exit(0)
    except OSError as error:  # of disks, permissions and terminals that nobody foresaw
        _log.debug("unforeseen", exc_info=True)
        with suppress(OSError):  # what stdout did not take, it would not take at the end either
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _leave(EdgereconError(": ".join(str(part) for part in (error.filename, error.strerror or error) if part)))
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer turns Ctrl-C into this, without a word
            how = ": go on with --resume" if _resumes(sys.argv[1:2]) else ""
            sys.stderr.write(f"edgerecon: interrupted{how}\n")
        raise


def _resumes(verb: Sequence[str]) -> bool:
    """Whether a verb has the option --resume."""
    command = getattr(typer.main.get_command(app), "commands", {}).get(verb[0]) if verb else None
    return command is not None and any("--resume" in parameter.opts for parameter in command.params)


def _refuse_empty(arguments: Sequence[str]) -> None:
    """No verb takes an empty word, which as a path would be the folder we are in, or one that no file can have."""
    for before, word in zip(["edgerecon", *arguments], arguments, strict=False):
        if not word or "\0" in word:
            raise UsageError(f"the word after '{before}' is {'broken' if word else 'empty'}: give one, or leave it out")


def _prepare_screens() -> None:
    """Standard output and error that are there, and take what the terminal's encoding lacks."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who called us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
        elif isinstance(screen := getattr(sys, name), io.TextIOWrapper):
            screen.reconfigure(errors="replace")


def _leave(error: EdgereconError) -> None:
    with suppress(OSError):
        sys.stderr.write(f"edgerecon: {printable(str(error))}\n")
    sys.exit(error.exit_code)


class _PlainFormatter(logging.Formatter):
    """Log lines for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(printable, super().format(record).split("\n")))


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens inside.")] = False,
) -> None:
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_PlainFormatter("%(levelname)s %(name)s: %(message)s"))
    if not verbose:
        # It warns of every oddity of a scanner's file, and sets its own level when it is imported: a filter stays.
        logging.getLogger("pydicom").addFilter(lambda record: record.levelno >= logging.ERROR)
    if version:
        typer.echo(f"edgerecon {__version__}")
        raise typer.Exit
