"""What training left in a folder models/E, logged to a run that was opened in the place of one that is gone."""

from pathlib import Path

from brats_cascade.tracking.run import Run


def log_training(run: Run, *, folder: Path) -> None:
    """Logs history, class weights, counts and the network of a folder models/E.

    Args:
        run: The new run.
        folder: What training wrote.
    """
    import pandas as pd

    from brats_cascade.costs import read_facts, weights_of
    from brats_cascade.models.files import load_trained

    record = read_facts(folder.parent.parent, name=folder.name)
    run.expect_score()
    run.log_history(pd.read_csv(folder / "history.csv"))
    if (folder / "history_cnn1.csv").is_file():
        run.log_history(pd.read_csv(folder / "history_cnn1.csv"), prefix="cnn1/")
    run.log_class_weights(pd.read_csv(folder / "class_weights.csv", dtype={"case": str}))
    counts = {key: record[key] for key in ("seconds", "labelled_pixels", "parameters") if key in record}
    run.log_scores(counts, prefix="training")
    run.log_tags({"weights": weights_of(folder.parent.parent, name=folder.name)})
    network, contract = load_trained(folder)
    run.log_model(network, metadata=contract.as_dict(), folder=folder)
    run.log_file(folder / "model.json")
