"""The command line itself: options reach the commands, mistakes are one line, help is quick and names everything."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from brats_cascade import cli
from brats_cascade.errors import UserError

COMMANDS = ("predict", "evaluate", "view", "export", "doctor", "results")


def invoke(*words: str):
    return CliRunner().invoke(cli.app, list(words))


def test_help_names_every_command():
    result = invoke("--help")
    assert result.exit_code == 0
    assert all(command in result.output for command in (*COMMANDS, "data"))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_line_of_help(command):
    result = invoke(command, "--help")
    assert result.exit_code == 0 and "Usage" in result.output


@pytest.mark.parametrize(
    "words",
    [
        "predict a --out=",
        "predict,,--out=b",
        "fuse a b --out=",
        "fuse a,,--out=c",
        "view a --out=",
        "view,",
        "evaluate --truth= --prediction=a --out=b.json",
        "export --model=a --out=",
        "cards --out=",
        "export-nnunet --out=",
        "data check,",
    ],
)
def test_an_empty_path_is_not_the_current_folder(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").touch()
    result = invoke(*[word for part in words.split(",") for word in part.split() or [""]])
    assert result.exit_code == 2 and "is empty" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


@pytest.mark.parametrize("words", ["fuse a b --out=loop/x", "data check loop", "view loop/x/y"])
def test_a_loop_of_links_is_one_line(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    result = invoke(*words.split())
    assert result.exit_code == 2 and "form a loop" in " ".join(result.output.split())


def test_predict_hands_its_options_on(monkeypatch, tmp_path):
    import brats_cascade.commands.predict as command

    given = []
    monkeypatch.setattr(command, "run", lambda folders, options: given.append((folders, options)) or 2)
    result = invoke(
        "predict", "a", "b", "--model", "m1", "--model", "m2", "--out", str(tmp_path), "--uncertainty", "--flips",
        "--montage", "--skull-distance", "6", "--allow-merged", "--operating-point", "-0.5", "--inner-component", "0.05",
    )  # fmt: skip
    assert result.exit_code == 1  # two cases failed
    [(folders, options)] = given
    assert folders == [Path("a"), Path("b")] and options.model == ["m1", "m2"] and options.out == tmp_path
    assert options.kinds == ["seg", "uncertainty", "montage"]
    assert options.thresholds == {"skull_distance": 6.0, "inner_component": 0.05, "operating_point": -0.5}
    assert options.flips and options.allow_merged and not options.overwrite


def test_ctrl_c_says_that_finished_work_is_kept(monkeypatch):
    import brats_cascade.commands.check as check
    import brats_cascade.commands.predict as predict

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(predict, "run", interrupted)
    monkeypatch.setattr(check, "run", interrupted)
    for words in (["predict", "a", "--model", "m", "--out", "o"], ["data", "check", "a"]):
        result = invoke(*words)
        assert result.exit_code == 130
        [line] = result.stderr.splitlines()
        assert "stopped" in line and "finished work is kept" in line


def test_evaluate_and_export_hand_their_options_on(monkeypatch, tmp_path):
    import brats_cascade.commands.evaluate as evaluate
    import brats_cascade.commands.export as export

    given = []
    monkeypatch.setattr(evaluate, "run", lambda truth, **options: given.append((truth, options)) or ("the table", 0))
    monkeypatch.setattr(export, "run", lambda model, **options: given.append((model, options)) or Path("written"))
    result = invoke(
        "evaluate", "--truth", "t", "--prediction", "p", "--out", "o.json", "--scheme", "merged", "--against", "q"
    )
    assert (result.exit_code, result.output.strip()) == (0, "the table")
    assert given[0] == (
        Path("t"),
        {
            "prediction": Path("p"),
            "out": Path("o.json"),
            "scheme": "merged",
            "prediction_scheme": "auto",
            "strict": False,
            "against": [Path("q")],
        },
    )
    assert invoke("export", "--model", "m", "--out", "x", "--format", "onnx").output.strip() == "written"
    assert given[1] == ("m", {"out": Path("x"), "form": "onnx"})


def test_a_users_mistake_is_one_line_and_exit_1(monkeypatch, capsys):
    monkeypatch.setattr(cli, "app", lambda: (_ for _ in ()).throw(UserError("what was\nexpected")))
    with pytest.raises(SystemExit, match="1"):
        cli.main()
    assert capsys.readouterr().err == "error: what was expected\n"


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--help"], ["view", "unknown"], ["fuse", "a.nii", "b.nii", "--out", "c.nii"]])
def test_what_computes_no_network_imports_no_backend(tmp_path, words):
    code = (
        "import atexit, sys\nfrom brats_cascade.cli import main\n"
        "loaded = lambda: print([name for name in ('keras', 'tensorflow', 'mlflow') if name in sys.modules], flush=True)\n"
        "atexit.register(loaded)\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], timeout=120, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
