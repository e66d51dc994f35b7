"""Where experience comes from: made-up tasks, real scripts, real trainings, thousands of them in an hour."""
