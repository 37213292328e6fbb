"""What tests in two files share."""
