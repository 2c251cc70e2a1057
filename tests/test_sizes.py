"""No file, function or signature grows beyond what is read at once; a change that breaks this splits something."""

import ast
import statistics
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "pipelines").glob("*.py")])


def functions(path):
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.FunctionDef)]


def parameters(function):
    """Their number, but for a method's own object."""
    names = [each.arg for each in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def is_command(function):
    """A command of the command line has a parameter for each of its options, which is how typer takes them."""
    return any("command(" in ast.unparse(decorator) for decorator in function.decorator_list)


def test_a_file_has_at_most_250_lines_and_half_of_them_have_less_than_140():
    lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: count for name, count in lines.items() if count > 250} == {}
    assert statistics.median(lines.values()) < 140


def test_a_function_has_at_most_50_lines_with_its_docstring():
    long = {
        f"{path.relative_to(ROOT)}: {function.name}": function.end_lineno - function.lineno + 1
        for path in FILES
        for function in functions(path)
    }
    assert {name: count for name, count in long.items() if count > 50} == {}


def test_a_function_has_at_most_8_parameters():
    many = {
        f"{path.relative_to(ROOT)}: {function.name}": parameters(function)
        for path in FILES
        for function in functions(path)
        if not is_command(function)
    }
    assert {name: count for name, count in many.items() if count > 8} == {}
