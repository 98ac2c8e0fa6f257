"""Pictures that the series draws itself, with captions and the truth about them."""
