"""Every figure of the series: readable on a page, without color too, and with an alt text."""

from captioning.plotting.attention import show_attention
from captioning.plotting.bars import plot_bars, plot_lengths
from captioning.plotting.captions import show_captions
from captioning.plotting.curves import plot_curves, plot_history
from captioning.plotting.fonts import find_fonts
from captioning.plotting.points import plot_points
from captioning.plotting.similarities import show_similarities

__all__ = ["find_fonts", "plot_bars", "plot_curves", "plot_history", "plot_lengths", "plot_points"]
__all__ += ["show_attention", "show_captions", "show_similarities"]
