"""The cards of data and models: what they say, and the front matter that Hugging Face reads."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from brats_cascade import MODALITIES, PHANTOM, cli
from brats_cascade.data.facts import STATISTICS
from brats_cascade.data.fingerprint import fingerprint
from brats_cascade.report.card import NOT_A_DEVICE, data_card, front_matter

REGION = {"dice": 0.81234, "ppv": 0.5, "sensitivity": 0.6, "hd95": 7.0}
RULE = {"min_component": 0, "skull_distance": 0, "flatness": 0, "skull_volume": 0, "operating_point": 0}
SUMMARY = {"complete": REGION, "core": REGION, "enhancing": REGION, "postprocess": RULE}


def front(card: str) -> dict[str, Any]:
    """The front matter, which must be the first thing of the file."""
    assert card.startswith("---\n")
    return YAML(typ="safe").load(card.split("---\n")[1])


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """The fingerprint of two cases, one of them without truth."""
    one = {"patient": "A", "release": "brats2017", "grade": "high", "scheme": "merged", "brain_fraction": 0.2,
           "tumour_cm3": 10.0, "has_truth": True, "slices": 155, "rows": 240, "columns": 240}  # fmt: skip
    one |= {f"spacing_{axis}": 1.0 for axis in ("slice", "row", "column")}
    one |= {f"{modality}_{name}": 5.0 for modality in MODALITIES for name in STATISTICS}
    one |= {f"label_{label}": 100 for label in range(5)}
    other = one | {"patient": "B", "has_truth": False, "tumour_cm3": None}
    return fingerprint(pd.DataFrame([one, other]))


def test_the_data_card_counts_the_cohort(found: dict[str, Any]) -> None:
    card = data_card(found, name='a "cohort"', sets={"train": 1, "test": 1}, excluded=3)
    assert front(card)["pretty_name"] == 'a "cohort"' and front(card)["license"] == "other"
    for text in ("2 cases of 2 patients", "3 excluded", "| brats2017 | 2 | 2 | high 2 | merged |", "155x240x240 (2)",
                 "train 1, test 1 cases", "| 4 enhancing tumour | 20.00 % | 0.38 % | 1 of 1 |", "10 (10 to 10)",
                 "In 1 cases necrosis", NOT_A_DEVICE):  # fmt: skip
        assert text in card
    phantom = found | {"releases": {PHANTOM: found["releases"]["brats2017"]}}
    assert "synthetic" not in card and "synthetic" in data_card(phantom, name="p", sets={}, excluded=0)
    for cases, size in ((999, "n<1K"), (1000, "1K<n<10K"), (10_000, "10K<n<100K"), (100_000, "100K<n<1M")):
        card = data_card(found | {"cases": cases}, name="p", sets={}, excluded=0)
        assert front(card)["size_categories"] == [size]


def test_a_models_front_matter_has_its_test_scores() -> None:
    about = front(front_matter({"experiment": "no", "release": "brats2018"}, summary=SUMMARY))
    [model] = about["model-index"]
    [result] = model["results"]
    assert model["name"] == "no" and result["dataset"] == {"type": "brats", "name": "brats2018", "split": "test"}
    assert [each["value"] for each in result["metrics"]] == [0.8123] * 3
    assert about["license"] == "other"  # whoever publishes weights settles what the data allow
    assert front(front_matter({"experiment": "a", "release": PHANTOM}, summary=SUMMARY))["license"] == "apache-2.0"


def test_cards_without_results_name_what_makes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params.yaml").write_bytes((Path(__file__).parents[2] / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli.app, ["cards"])
    assert "fingerprint.json: not found; run `dvc repro validate` first" in str(result.exception)


def test_scores_without_their_network_name_what_makes_it(
    found: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "params.yaml").write_bytes((Path(__file__).parents[2] / "params.yaml").read_bytes())
    (tmp_path / "metrics/unet").mkdir(parents=True)  # as in a clone, where git has the scores alone
    (tmp_path / "metrics/unet/summary.json").write_text(json.dumps(SUMMARY))
    (tmp_path / "data").mkdir()
    (tmp_path / "data/fingerprint.json").write_text(json.dumps(found))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli.app, ["cards", "--experiment", "unet"])
    assert "models/unet/record.json: not found; run `dvc repro train@unet` first" in str(result.exception)
