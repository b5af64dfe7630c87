"""Mistakes of a user and faults of a machine: one line, the right status, no traceback."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgerecon.cli.main import _resumes
from tests.cli.command import Cli, assert_one_line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["stream", "sample", "no-such-model"], "no model 'no-such-model'"),
        (["stream", "sample", "--policy", "sometimes"], "--policy"),
        (["stream", "sample", "--sink", "film.xyz"], "unknown sink"),
        (["stream", "sample", "compact-despeckle", "--backend", "abacus"], "unknown backend"),
        (["evaluate", "compact-despeckle", "--data", "{}", "--method", "magic"], "magic"),
        (["adopt", "net.py", "--weights", "net.pt"], "name the class, as in  edgerecon adopt net.py:CLASS"),
    ],
)
def test_wrong_usage_is_one_line(edgerecon: Cli, pairs: Path, arguments: list[str], says: str) -> None:
    assert_one_line(edgerecon(*(word.format(pairs) for word in arguments)), 2, says)


@pytest.mark.parametrize(
    "arguments", [["sing"], ["stream"], ["stream", "sample", "--frames", "0"], ["demo", "--port", "x"]]
)
def test_wrong_words_are_refused(edgerecon: Cli, arguments: list[str]) -> None:
    status, _, err = edgerecon(*arguments)
    assert status == 2 and "Traceback" not in err


def test_a_study_is_not_begun_anew_over_trained_networks(edgerecon: Cli, tmp_path: Path) -> None:
    trained = tmp_path / "recurrent" / "cnn.pt"
    trained.parent.mkdir()
    trained.write_bytes(b"a night's work")
    outcome = edgerecon("study", "--profile", "smoke", "--only", "recurrent", "-o", str(tmp_path))
    assert_one_line(outcome, 2, "holds trained networks: go on with --resume, or give another folder with -o")
    assert trained.read_bytes() == b"a night's work"


@pytest.mark.parametrize(("verb", "resumes"), [("study", True), ("train", True), ("adapt", True), ("stream", False)])
def test_verbs_that_can_be_resumed(verb: str, resumes: bool) -> None:
    assert _resumes([verb]) is resumes and not _resumes([]) and not _resumes(["sing"])


def _huge(path: Path) -> None:
    path.write_bytes(
        b"ObjectType = Image\nNDims = 2\nDimSize = 10000 10001\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    )


SOURCES: dict[str, Callable[[Path], object]] = {
    "missing.dcm": lambda path: None,
    "empty.mp4": lambda path: path.write_bytes(b""),
    "notes.txt": lambda path: path.write_text("not an image"),
    "wrong.dcm": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500)),
    "wrong.npz": lambda path: path.write_bytes(b"PK\x03\x04broken"),
    "huge.mha": _huge,
    "cut.png": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_unusable_sources_are_one_line(edgerecon: Cli, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    SOURCES[name](path)
    assert_one_line(edgerecon("stream", path, "compact-despeckle"), 1, name)


@pytest.mark.parametrize("content", [b"", b"not protobuf at all", bytes(1000), None])
def test_unusable_models_are_one_line(edgerecon: Cli, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    assert_one_line(edgerecon("stream", "sample", path), 1, "model.onnx")


def test_model_of_somebody_else(edgerecon: Cli, tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 4, 4]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", value[:1], value[1:])
    onnx.save(helper.make_model(graph), tmp_path / "foreign.onnx")
    assert_one_line(edgerecon("stream", "sample", tmp_path / "foreign.onnx"), 1, "foreign.onnx")


@pytest.mark.parametrize(
    "arguments",
    [
        ["stream", "sample", "--frames", "2", "--sink", "{}/out.mp4"],
        ["stream", "sample", "--seconds", "60", "--loop", "--json", "{}/out.json"],  # refused before the stream
        ["evaluate", "compact-despeckle", "--data", "absent", "--json", "{}/out.json"],
        ["demo", "--seconds", "0.5", "--out", "{}/demo"],
        ["doctor", "--json", "{}/out.json"],
        ["simulate", "{}/out.h5", "--samples", "1"],
    ],
)
def test_unwritable_output_is_one_line(edgerecon: Cli, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "file").write_text("a file, where a folder would have to be")
    assert_one_line(edgerecon(*(word.format(tmp_path / "file") for word in arguments)), 1, "file")


def test_port_in_use_is_one_line(edgerecon: Cli) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert_one_line(edgerecon("stream", "sample", "--sink", f"viewer:{port}"), 1, str(port))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["evaluate", "compact-despeckle", "--data", "{}/absent.h5"], "absent.h5"),
        (["train", "{}/absent.toml"], "absent.toml"),
        (["export", "{}/absent.toml"], "absent.toml"),
        (["train", "{}/recipe.toml", "--run-dir", "{}/run"], "absent.h5"),
        (["export", "{}/recipe.toml", "--checkpoint", "{}/absent.pt"], "absent.pt"),
    ],
)
def test_absent_files_are_one_line(edgerecon: Cli, tmp_path: Path, arguments: list[str], says: str) -> None:
    (tmp_path / "recipe.toml").write_text(
        '[model]\nname = "m"\ntask = "despeckle"\n[train]\nsteps = 1\n[data]\nsimulate = ""\n'
        f'file = "{tmp_path}/absent.h5"\ninputs = ["pw31"]\ntarget = "clean"\n'
    )
    assert_one_line(edgerecon(*(word.format(tmp_path) for word in arguments)), 1, says)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("more", [[], ["--json", "-"]])
def test_a_standard_output_that_is_full_is_one_line(
    edgerecon: Cli, monkeypatch: pytest.MonkeyPatch, more: list[str]
) -> None:
    with open("/dev/full", "w") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        status, _, shown = edgerecon("devices", "h200", *more)
    assert status == 1 and shown.endswith("edgerecon: No space left on device\n") and "Traceback" not in shown


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_closed_standard_output_hinders_nothing(
    edgerecon: Cli, cine: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, name, None)
        assert edgerecon("stream", cine, "--no-pace")[0] == 0


def test_a_terminal_without_our_signs(edgerecon: Cli, cine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", plain)
        assert edgerecon("stream", cine, "--no-pace")[0] == 0
    assert b"cine.npy ? none" in plain.buffer.getvalue()


def test_odd_names_are_one_line(edgerecon: Cli) -> None:
    assert_one_line(edgerecon("stream", ""), 2, "the word after 'stream' is empty")
    assert_one_line(edgerecon("stream", "sample", ""), 2, "the word after 'sample' is empty")
    assert_one_line(edgerecon("stream", "no\nfile\x1b[31m"), 1, r"no\nfile\x1b[31m does not exist")
    assert_one_line(edgerecon("stream", "~nobody-of-that-name/a.npy"), 1, "~nobody-of-that-name/a.npy does not exist")
    long = "a" * 300
    assert_one_line(edgerecon("stream", "sample", long), 2, "no model 'aaa")
    for option in (["--sink", f"{long}.mp4"], ["--json", long], ["--sink", f"black-box:{long}"]):
        assert_one_line(edgerecon("stream", "sample", *option), 1, "File name too long")


def test_study_refuses_a_wrong_system_before_it_imports_torch() -> None:
    blind = "import sys; sys.modules['torch'] = None; from edgerecon.cli import main as cli"
    script = f"{blind}; sys.argv = ['edgerecon', 'study', '--only', 'nosuch']; cli.main()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "there is no system 'nosuch' in the study" in done.stderr


@pytest.mark.parametrize(
    "verb", [["train", "export/compact-despeckle.toml"], ["study"], ["explain", "compact-despeckle", "sample"]]
)
def test_workshop_verbs_without_torch_name_what_to_install(verb: list[str]) -> None:
    blind = "import sys; sys.modules['torch'] = None; from edgerecon.cli import main as cli"
    script = f"{blind}; sys.argv = ['edgerecon', *{verb}]; cli.main()"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=root, timeout=120)
    assert (done.returncode, done.stderr) == (
        1,
        "edgerecon: torch is not installed: run  pip install 'edgerecon[train]'\n",
    )


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["build", "compact-despeckle", "--device", "raspberry-pi-5"], 2, "needs no build"),
        (["build", "compact-despeckle", "--device", "toaster"], 2, "no device 'toaster'"),
        (["fit", "--deadline", "soon"], 2, "'soon' is not a time"),
        (["fit", "--deadline", "5ms", "--shape", "wide"], 2, "e.g. 512x512, not 'wide'"),
        (["fit", "--deadline", "5ms", "--min-ssim", "0.999"], 1, "is asked for, the best of"),
        (["bundle", "export/absent.toml", "--device", "h200", "-o", "x.tar.gz"], 1, "absent.toml"),
        (["install", "absent.tar.gz"], 1, "absent.tar.gz"),
        (["stream", "sample", "compact-despeckle", "--precision", "int3"], 2, "unknown precision 'int3'"),
    ],
)
def test_deployment_mistakes_are_one_line(edgerecon: Cli, arguments: list[str], status: int, says: str) -> None:
    assert_one_line(edgerecon(*arguments), status, says)


def test_ctrl_c_during_imports_is_one_line() -> None:
    interrupted = "import sys; sys.modules['edgerecon.cli.main'] = None; import edgerecon.__main__ as m\n" + (
        "class Late:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'edgerecon.cli.main': raise KeyboardInterrupt\n"
        "del sys.modules['edgerecon.cli.main']; sys.meta_path.insert(0, Late()); m.main()"
    )
    done = subprocess.run([sys.executable, "-c", interrupted], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "edgerecon: interrupted\n")


def test_the_command_gives_blas_one_thread_unless_asked() -> None:
    code = (
        "import os, sys, types\nimport edgerecon.__main__ as m\nassert 'numpy' not in sys.modules\n"
        "say = types.SimpleNamespace(main=lambda: print(os.environ['OPENBLAS_NUM_THREADS']))\n"
        "sys.modules['edgerecon.cli.main'] = say\nm.main()"
    )
    without = {key: value for key, value in os.environ.items() if key != "OPENBLAS_NUM_THREADS"}
    for environment, said in ((without, "1"), (without | {"OPENBLAS_NUM_THREADS": "3"}, "3")):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=environment, check=True
        )
        assert done.stdout.strip() == said
