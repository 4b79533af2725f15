"""scnas-deploy."""
