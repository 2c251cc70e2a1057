"""Which warnings fail a test: all, but for deprecations inside other packages."""

import pytest

WARNS = compile("import warnings; warnings.warn('is going away', kind)", "a module", "exec")


@pytest.mark.parametrize("kind", [DeprecationWarning, PendingDeprecationWarning, FutureWarning])
def test_a_deprecated_call_of_this_project_is_an_error(kind):
    with pytest.raises(kind, match="going away"):
        exec(WARNS, {"__name__": "brats_cascade.models.layers", "kind": kind})


def test_one_inside_another_package_is_not():
    exec(WARNS, {"__name__": "tensorflow.python.ops", "kind": DeprecationWarning})
