"""What came out: result files, averages, tables, comparisons and model cards."""
