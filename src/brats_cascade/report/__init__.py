"""Pages and tables: what the pipeline wrote, for readers; one context per page, rendered by a template."""
