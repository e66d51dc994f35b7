"""One's own data, brought in: a table, pictures or texts become a prepared data set and a first baseline."""
