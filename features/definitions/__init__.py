"""What each feature means, a module per group; ``catalog`` joins them."""
