"""The steps of the pipeline as functions of a project's folder and its parameters."""
