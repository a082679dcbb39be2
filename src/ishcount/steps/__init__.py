"""The steps of one slide: pure functions on arrays and tables, strangers to each other."""
