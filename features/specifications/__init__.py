"""What each feature means, a module per group; ``features.catalog`` joins them."""
