"""Walking the steps: from the first training to the report."""
