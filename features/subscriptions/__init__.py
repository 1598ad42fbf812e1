"""What an account has subscribed to: one definition for features, labels and scores."""
