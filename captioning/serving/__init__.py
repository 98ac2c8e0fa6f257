"""What people use after training: the command, packed models, exports, the page in the browser."""
