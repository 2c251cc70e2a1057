"""The page of results for git: what each section says, as Markdown lines from what the pipeline left in files."""
