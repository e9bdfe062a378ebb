"""The form "hls4ml": a project for high-level synthesis."""
