"""Names of the inputs and outputs that every model of ours has."""

from __future__ import annotations

from edgerecon.core.errors import ModelError
from edgerecon.modelfile.file import ModelFile
from edgerecon.modelfile.spec import ModelSpec

INPUT, OUTPUT = "frame", "reconstruction"


STATE_IN, STATE_OUT = "state_in", "state_out"


def port_names(model: ModelSpec) -> tuple[list[str], list[str]]:
    """What the graph reads and writes, in order; all are float32 of four axes."""
    return ([INPUT, STATE_IN], [OUTPUT, STATE_OUT]) if model.state_channels else ([INPUT], [OUTPUT])


def foreign_ports(file: ModelFile) -> ModelError:
    """For a graph that reads or writes anything else."""
    names = "' and '".join(sum(port_names(file.spec), []))
    return ModelError(f"{file.path} has inputs and outputs other than '{names}': export it again")
