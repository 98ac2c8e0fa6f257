"""One source per file, all giving the same `CaptionDataset`; `prepare` fetches, reads, checks and saves."""
