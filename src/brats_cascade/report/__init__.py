"""Pages and tables of the pipeline's results; each page is rendered by a template from one context."""
