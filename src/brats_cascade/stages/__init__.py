"""The stages of the pipeline as functions of a project and its parameters."""
