"""Which trial next, with Optuna: studies, trials, workers. The only room that knows Optuna."""
