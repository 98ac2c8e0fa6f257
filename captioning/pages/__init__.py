"""Pages of executed notebooks that need no network: one per notebook, and an index of the run."""

from captioning.pages.index import write_index
from captioning.pages.page import write_page
