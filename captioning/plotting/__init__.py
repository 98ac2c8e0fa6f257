"""Every figure of the series: readable on a page, without color too, and with an alt text."""

from captioning.plotting.architectures import draw_architecture
from captioning.plotting.attention import show_attention
from captioning.plotting.bars import plot_bars, plot_lengths
from captioning.plotting.beam import draw_beam
from captioning.plotting.captions import show_captions
from captioning.plotting.cells import draw_cell
from captioning.plotting.curves import plot_curves, plot_history
from captioning.plotting.heads import show_heads
from captioning.plotting.points import plot_points
from captioning.plotting.similarities import show_similarities
