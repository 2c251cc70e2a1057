import optuna

from brats_cascade.sweep.trials import line_of


def trial(state, **settings):
    made = optuna.create_trial(
        state=optuna.trial.TrialState[state], params={"learning_rate": 0.00123456},
        distributions={"learning_rate": optuna.distributions.FloatDistribution(0, 1)}, **settings,
    )  # fmt: skip
    made.number = 4
    return made


def test_a_trial_on_one_line():
    assert line_of(trial("COMPLETE", value=0.81234)) == "trial 4 complete: 0.8123 (learning_rate=0.001235)"
    pruned = trial("PRUNED", intermediate_values={1: 0.25}, value=0.25)
    assert line_of(pruned) == "trial 4 ended early: 0.25 (learning_rate=0.001235)"
    failed = trial("FAIL", user_attrs={"reason": "out of memory"})
    assert line_of(failed) == "trial 4 failed: out of memory (learning_rate=0.001235)"
