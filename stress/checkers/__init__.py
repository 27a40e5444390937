"""What the checkers of the races share: the view of a block, and tables for witnesses."""
